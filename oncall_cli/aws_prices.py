"""What AWS charges: the published prices, and what an idle month comes to by them."""

from dataclasses import dataclass

MINUTES = 30 * 24 * 60  # of a month
MEMORY_GB = 1.0  # of the reconciler and of each function that is a step


@dataclass(frozen=True, slots=True)
class Prices:
    """Dollars for one of each, without any free tier. A metric and an alarm are for a month."""

    region: str
    as_of: str
    state_transition: float
    run: float  # of a function
    gb_second: float  # of a function on arm64
    api_request: float  # of a REST API
    read: float  # a request unit of DynamoDB on demand
    write: float
    alarm_metric: float
    custom_metric: float
    metric_request: float  # PutMetricData, DescribeAlarms
    log_gb: float


# aws.amazon.com: step-functions/pricing, lambda/pricing, api-gateway/pricing, dynamodb/pricing/on-demand, cloudwatch/pricing.
PRICES = Prices(
    region="us-east-1",
    as_of="November 2026",
    state_transition=25e-6,
    run=0.2e-6,
    gb_second=13.3334e-6,
    api_request=3.5e-6,
    read=0.125e-6,
    write=0.625e-6,
    alarm_metric=0.10,
    custom_metric=0.30,
    metric_request=10e-6,
    log_gb=0.50,
)


@dataclass(frozen=True, slots=True)
class Idle:
    """A month without an alert, in dollars, by what it is for. The dashboard is one of an account's three free ones."""

    alarms: float
    heartbeats: float
    reconciler: float
    kept_warm: float
    logs: float
    after_free_tier: float  # what is left to pay in an account that uses its always-free tier for nothing else

    @property
    def total(self) -> float:
        """As the prices are listed."""
        return self.alarms + self.heartbeats + self.reconciler + self.kept_warm + self.logs


def idle_month(*, alarms: int, prices: Prices = PRICES) -> Idle:
    """With so many alarms of one metric each; 0 for a stack without (Alarms=none), whose heartbeats cost nothing here.

    The always-free tier has 10 alarm metrics, 10 custom metrics, a million requests to CloudWatch, 5 GB of logs, and of
    Lambda a million runs and 400,000 GB-seconds.
    """
    watched = alarms * prices.alarm_metric
    points = prices.custom_metric + MINUTES * prices.metric_request if alarms else 0.0
    requests = MINUTES * prices.api_request if alarms else 0.0
    looks = MINUTES / 5 * prices.metric_request if alarms else 0.0
    runs = MINUTES * (prices.run + 0.1 * MEMORY_GB * prices.gb_second)
    # A ping takes 2 ms of the function that it keeps, and 15 ms of the reconciler.
    pings = MINUTES / 2 * 6 * (prices.run + 0.017 * MEMORY_GB * prices.gb_second)
    reads = MINUTES * 6 * prices.read
    # 400 bytes for a run of the reconciler, 350 for a ping, 440 for a heartbeat with its share of the authorizer.
    logs = MINUTES * (400 + 3 * 350 + (440 if alarms else 0)) / 1e9 * prices.log_gb
    return Idle(
        alarms=watched,
        heartbeats=points + requests,
        reconciler=runs + reads + looks,
        kept_warm=pings,
        logs=logs,
        after_free_tier=max(0.0, watched - 10 * prices.alarm_metric) + requests + reads,
    )
