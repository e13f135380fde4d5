"""What is said about a telephone number: by the rules of its country, as the package phonenumbers (libphonenumber) knows them.

The rules are as old as the package: a number of a possible length that it does not know may be of a new area code.
"""

from dataclasses import dataclass
from typing import Literal

import phonenumbers
from phonenumbers import NumberParseException, PhoneNumber, PhoneNumberFormat, ValidationResult

# Until 2019-08-03 a mobile number of Mexico had a 1 before its ten digits when it was called from abroad.
_MEXICO, _MEXICAN_DIGITS = 52, 10


@dataclass(frozen=True, slots=True)
class Advice:
    """`number` is the one form of the number (E.164), empty if none is known; two spellings of one number share it.

    `level` is empty for a number that is written right and known.
    """

    number: str
    level: Literal["", "warning", "error"] = ""
    message: str = ""


def advise(written: str) -> Advice:
    """What to say about a number as somebody wrote it: + and the country code, then the number."""
    try:
        parsed = phonenumbers.parse(written)
    except NumberParseException as error:
        if error.error_type == NumberParseException.INVALID_COUNTRY_CODE:
            return Advice("", "error", "begins with no country code that exists: write + and the country code first")
        return Advice("", "error", "is no telephone number: write + and the country code, then the number")
    number = phonenumbers.format_number(parsed, PhoneNumberFormat.E164)
    national = phonenumbers.national_significant_number(parsed)
    if parsed.country_code == _MEXICO and national.startswith("1") and len(national) == _MEXICAN_DIGITS + 1:
        right = f"+{_MEXICO}{national[1:]}"
        return Advice(
            right, "error", f"has the 1 that mobile numbers of Mexico had after +52 until 2019: write {right}"
        )
    country = _country(parsed)
    fits = phonenumbers.is_possible_number_with_reason(parsed)
    if fits != ValidationResult.IS_POSSIBLE:
        length = "long" if fits == ValidationResult.TOO_LONG else "short"
        return Advice("", "error", f"is too {length} for {country}: compare each digit")
    dialled = phonenumbers.normalize_digits_only(written).removeprefix(str(parsed.country_code))
    if dialled != national:
        return _right_form(number, dialled, national, country)
    if phonenumbers.is_valid_number(parsed):
        return Advice(number)
    longer = f"+{parsed.country_code}0{national}"
    if _exists(longer):
        return Advice(number, "warning", f"lacks the 0 that numbers of {country} keep: did you mean {longer}?")
    why = f"is not known to exist in {country}"
    return Advice(number, "warning", f"{why}: compare each digit. It may be of a range that is newer than our list")


def _right_form(number: str, dialled: str, national: str, country: str) -> Advice:
    """What to say about a number with digits that nobody dials from abroad; the right form may have some left."""
    further = advise(number)
    if further.level == "error":
        return further
    prefix = dialled.removesuffix(national)
    why = f"has {prefix} after the country code, which is dialled within {country} only"
    if prefix == dialled:
        why = "has digits that are not dialled"
    return Advice(number, "error", f"{why}: write {number}")


def country_of(number: str) -> str:
    """The country of a number (ISO 3166), also of one that is not known; the country code for numbers of no country."""
    try:
        return _country(phonenumbers.parse(number))
    except NumberParseException:
        return ""


def _country(parsed: PhoneNumber) -> str:
    code = parsed.country_code or 0
    region = phonenumbers.region_code_for_number(parsed) or phonenumbers.region_code_for_country_code(code)
    return str(region) if region not in ("001", "ZZ") else f"+{code}"


def _exists(number: str) -> bool:
    try:
        return phonenumbers.is_valid_number(phonenumbers.parse(number))
    except NumberParseException:
        return False
