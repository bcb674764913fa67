"""From a command to a running city and back: starts, watches, sums up, and stops whatever was started."""

from __future__ import annotations

import typer

from deploy.local.java import JavaNotFoundError
from deploy.local.kafka import KafkaError
from deploy.local.kafka_jars import JarError
from deploy.local.root import RootInUseError
from deploy.local.servers import ServerError
from services.cli.city import City, CitySettings, ProcessEndedError, claim
from services.cli.output import fail
from services.cli.run import INTERRUPTED, Interrupts, Run
from services.cli.screen import say_on_stderr
from services.cli.summary import Summary, lines_of
from services.cli.views import make_views
from services.feeds.auckland import ATTRIBUTION

_FAILURES = (ProcessEndedError, RootInUseError, ServerError, KafkaError, JarError, JavaNotFoundError, TimeoutError)


def run_city(settings: CitySettings, seconds: float | None, fresh: bool, began: float) -> Summary:
    """Run a city to its end; ValueError where its data do not fit. Ends the process with 1 where anything fails."""
    city = City(settings, say_on_stderr)
    interrupts = Interrupts(city.kill)
    with interrupts.held():
        try:
            claim(settings, fresh)
            found = _run(city, seconds, began, interrupts)
        except KeyboardInterrupt:
            city.kill()
            raise typer.Exit(INTERRUPTED) from None
        except _FAILURES as error:
            city.stop()
            fail(str(error))
        except BaseException:
            city.kill()
            raise
        city.stop()
    print("\n".join(lines_of(found)))
    return found


def _run(city: City, seconds: float | None, began: float, interrupts: Interrupts) -> Summary:
    addresses = city.start()
    make_views(addresses.clickhouse)
    if city.settings.feed:
        city.start_feed()
        say_on_stderr(ATTRIBUTION)
        say_on_stderr("road flow around the counters: a simulation")
    if city.settings.scenario is not None:
        say_on_stderr(f"cities/scenario: invented; what happens in it is in {city.settings.truth_file}")
    interrupts.starting = False
    run = Run(city, addresses, began, say_on_stderr)
    run.watch(seconds, interrupts)
    return run.finish()
