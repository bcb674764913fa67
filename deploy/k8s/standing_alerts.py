"""The alerts that are the same in every city, whatever its domains; thresholds are ours, and say what they stand on."""

from __future__ import annotations

from deploy.k8s.alert import PAGE, TICKET, Alert

ALWAYS = (
    Alert(
        "UrbanLedgerDifference",
        PAGE,
        "urban_ledger_difference != 0",
        "1m",
        "{{ $value }} observations of {{ $labels.domain }} {{ $labels.kind }}, partition {{ $labels.partition }}, are"
        " unaccounted for.",
        "A processor read observations that are neither folded, nor duplicate, late or dead-lettered. It is a fault in"
        " the code, whatever else happens.",
        "`urban.v_ledger` in ClickHouse, which tells the offset; the log of the pod that has the partition.",
        "Keep the log (retention of the topic) and report it; results of that partition may miss observations since the"
        " checkpoint before.",
    ),
    Alert(
        "UrbanArchiveDifference",
        PAGE,
        "urban_archive_difference != 0",
        "5m",
        "The archive of {{ $labels.domain }} {{ $labels.kind }}, partition {{ $labels.partition }}, differs from the"
        " ledger by {{ $value }} observations.",
        "ClickHouse holds fewer (positive) or more raw observations than the processor read up to the same offset.",
        "`urban.v_ledger`, columns archive_offset and archive_difference; were rows deleted by hand, or parts lost?",
        "Rows that are missing are still in Kafka for 7 days: set the archiver's group back to before them (rows that"
        " are there are not stored twice), with the archiver stopped.",
    ),
    Alert(
        "UrbanNotReady",
        PAGE,
        "max by (service, component, pod, needs) (urban_ready) == 0",
        "2m",
        "{{ $labels.pod }} lacks {{ $labels.needs }}.",
        "The process lives and what it needs does not answer. It waits, loses nothing, and takes no calls meanwhile.",
        "Whether all pods say so (the server is away) or one (its node, its network policy).",
        "Bring the server back. Restarting the pods helps nobody.",
    ),
    Alert(
        "UrbanClickHouseAway",
        PAGE,
        "max by (service, component) (urban_clickhouse_unavailable_seconds) > 60",
        "1m",
        "{{ $labels.service }} {{ $labels.component }} has got nothing into ClickHouse for"
        " {{ $value | humanizeDuration }}.",
        "It tries the same insert or query again and again. Rows wait in bounded memory, offsets stay, and nothing is"
        " produced before its rows are stored: results stand still.",
        "Pods of ClickHouse, their disks, `system.errors`; an insert quorum that cannot be reached looks the same.",
        "Bring ClickHouse back, or move the services to another replica (deploy/README.md). They catch up by"
        " themselves.",
    ),
    Alert(
        "UrbanArchiverBehind",
        TICKET,
        'sum by (domain) (urban_lag_records{role="archiver"}) > 100000 and'
        ' sum by (domain) (deriv(urban_lag_records{role="archiver"}[15m])) > 0',
        "30m",
        "The archiver of {{ $labels.domain }} is {{ $value | humanize }} records behind, and falls back.",
        "Raw observations reach ClickHouse slower than they come. Signals are not late by this. Kafka keeps records for"
        " 7 days: after that they would be missing.",
        "`urban_clickhouse_insert_seconds`: slow inserts are ClickHouse's; else the archiver lacks processor time.",
        "More replicas, up to the partitions of a topic.",
    ),
    Alert(
        "UrbanDeadLetterFlood",
        PAGE,
        "max by (domain, kind, partition) (urban_dead_letter_share) > 0.25",
        "2m",
        "Of {{ $labels.domain }} {{ $labels.kind }}, partition {{ $labels.partition }},"
        " {{ $value | humanizePercentage }} of the last records are unreadable.",
        "Beyond one half of the last 1,000 records, or 250 in a row, the worker stops at that record and does not go"
        " on by itself, so that the dead letters are not filled with what somebody sends by mistake.",
        "`urban dlq list`, `urban dlq show`: error, field and value; who writes to the topic.",
        "Stop the sender. Where the records are to be passed over: URBAN_DEAD_LETTER_FLOOD=pass, and back to `stop`"
        " afterwards. Records that were refused by our fault: `urban dlq replay`, once it is mended.",
    ),
    Alert(
        "UrbanManyDeadLetters",
        TICKET,
        'sum by (domain, kind) (rate(urban_observations_total{result="dead_lettered"}[30m])) > 0.01 *'
        " sum by (domain, kind) (rate(urban_observations_total[30m]))",
        "30m",
        "More than 1 % of the observations of {{ $labels.domain }} {{ $labels.kind }} are refused.",
        "They are not valid, or stamped in the future. They are in the dead letters, untouched.",
        "`urban dlq list`: a few senders with one error, mostly; clocks that are wrong say `future`.",
        "Tell the sender; send them again with `urban dlq replay` where they can be mended.",
    ),
    Alert(
        "UrbanManyLate",
        TICKET,
        'sum by (domain, kind) (rate(urban_observations_total{result="late"}[30m])) > 0.05 *'
        " sum by (domain, kind) (rate(urban_observations_total[30m]))",
        "30m",
        "More than 5 % of the observations of {{ $labels.domain }} {{ $labels.kind }} come too late.",
        "They are beyond the lateness that the kind allows: kept on the late topic and in the archive, and in no"
        " window.",
        "Which `source_id` they have (`urban.late.DOMAIN.v1`): a gateway that was cut off sends what it kept.",
        "One gateway, once: nothing. Always: the kind's lateness in its domain.py is too short for this city.",
    ),
    Alert(
        "UrbanManyRejected",
        TICKET,
        'sum by (domain, kind) (rate(urban_reported_observations_total{result="rejected"}[15m])) > 0.1 *'
        " sum by (domain, kind) (rate(urban_reported_observations_total[15m]))",
        "15m",
        "More than 10 % of what callers send of {{ $labels.domain }} {{ $labels.kind }} is refused at the edge.",
        "Callers are told field, value and reason; nothing of it is in the log.",
        "The callers' own logs, which have the answers; `kind` says whose they may be.",
        "Tell the sender what the answers say. A bound of ours that is too narrow stands in the domain.py of the kind.",
    ),
    Alert(
        "UrbanNothingComes",
        TICKET,
        'sum by (domain) (rate(urban_reported_observations_total{result="accepted"}[15m])) == 0',
        "30m",
        "No observation of {{ $labels.domain }} has come for half an hour.",
        "The domain is silent. What is absent is told as unknown, never as fine. (A domain that writes to Kafka by a"
        " bridge does not pass the api: silence this one.)",
        "Gateways and their network; `up` of the domain's api; the Gateway and its certificate.",
        "Find where it was cut; gateways that kept what they had send it afterwards.",
    ),
    Alert(
        "UrbanCanaryLate",
        PAGE,
        "max by (domain, kind, partition) (urban_canary_waiting_seconds) > 90",
        "2m",
        "A canary of {{ $labels.domain }} {{ $labels.kind }}, partition {{ $labels.partition }}, has been on its way"
        " for {{ $value | humanizeDuration }}.",
        "What this partition's log holds does not become results in ClickHouse, whatever the other figures say: one of"
        " api, Kafka, processor and ClickHouse does not do its part. (It comes with every checkpoint: where"
        " URBAN_CHECKPOINT_SECONDS is above 60, this bound is too narrow.)",
        "`urban doctor`, which asks each of them. All partitions of all domains: Kafka or ClickHouse. All of one"
        " domain: its processor. One: the pod that has this partition (`urban_watermark_timestamp_seconds`).",
        "What the other alert says that fires beside it. If this one is alone, restart the pod that has the partition:"
        " who takes it over goes on from its checkpoint.",
    ),
    Alert(
        "UrbanBackpressure",
        TICKET,
        "sum by (domain, pod) (rate(urban_backpressure_seconds_total[5m])) > 0.5",
        "10m",
        "The processor {{ $labels.pod }} waits for its outbox half of the time.",
        "Rows leave slower than windows close: ClickHouse or Kafka is the bound, not the processor.",
        "`urban_clickhouse_insert_seconds`, parts and merges of the windows' tables, disks of the brokers.",
        "More for ClickHouse. More processors would only wait as well.",
    ),
    Alert(
        "UrbanCheckpointsSlow",
        TICKET,
        "histogram_quantile(0.9, sum by (domain, kind, le) (rate(urban_checkpoint_seconds_bucket[10m]))) > 5",
        "15m",
        "One in ten checkpoints of {{ $labels.domain }} {{ $labels.kind }} takes longer than 5 s.",
        "A checkpoint waits for all that leaves before it. The time to come back after a crash grows with it.",
        "`urban_clickhouse_insert_seconds` first, then `urban_checkpoint_bytes`.",
        "Slow inserts: see UrbanBackpressure. Large states: URBAN_CHECKPOINT_SECONDS=10 or 20, or more partitions.",
    ),
    Alert(
        "UrbanCorrelationHeldBack",
        TICKET,
        "urban_correlation_silent_partitions > 0",
        "15m",
        "{{ $value }} partitions of observations tell the correlation no time.",
        "They no longer hold its time back, and what they would have said is unknown: an incident that needs to know"
        " that something is absent does not come of it.",
        "UrbanRoleAbsent and UrbanPartitionUnowned of the processors.",
        "Bring the processor back.",
    ),
    Alert(
        "UrbanRulesRefused",
        TICKET,
        "max by (pod) (urban_rules_refused) > 0",
        "5m",
        "The rules of correlation in the folder are refused.",
        "Somebody changed them, and one of them cannot be used. Those before go on, over a restart too: nothing is"
        " lost, and nothing of the change is in force.",
        "`rules_refused` in the log of the pod tells file, line, field, value and reason; `urban rules check FILE` says"
        " the same.",
        "Correct the file, or put the one before back. It is looked at every second.",
    ),
    Alert(
        "UrbanNeighbourAway",
        TICKET,
        "max by (neighbour) (urban_exchange_away_seconds) > 600",
        "5m",
        "{{ $labels.neighbour }} has not answered for {{ $value | humanizeDuration }}.",
        "The Kafka of a neighbour city cannot be reached, so that we do not hear of incidents at the border. Here"
        " nothing else is disturbed, nothing is lost, and what it told meanwhile is heard when it is back.",
        "`neighbour_away` in the log of correlation-exchange tells why: its certificate, its address, the network"
        " policy to-neighbours. Do they see it themselves?",
        "Call them; until it is back, tell each other of incidents at the border by telephone.",
    ),
    Alert(
        "UrbanSubscribersCutOff",
        TICKET,
        "sum by (topic) (rate(urban_subscribers_cut_off_total[15m])) * 60 > 1",
        "15m",
        "More than one subscriber a minute of {{ $labels.topic }} is cut off.",
        "They do not take a response within URBAN_SUBSCRIBER_PATIENCE_SECONDS. Each has a token to resume with, and"
        " comes again: it is one that is too slow for what it asked for.",
        "Who is connected to the domain's api; processor time of the apis.",
        "The subscriber filters more, or reads the topic itself.",
    ),
    Alert(
        "UrbanNotificationsUndelivered",
        PAGE,
        'sum by (receiver, result) (increase(urban_deliveries_total{result!="delivered"}[30m])) > 0',
        "1m",
        "{{ $labels.receiver }} was not told of {{ $value | humanize }} incidents ({{ $labels.result }}).",
        "A response plan told somebody whose webhook did not take it within URBAN_DELIVERY_PATIENCE_SECONDS"
        " (undelivered), or who has no address (unrouted). People may wait for a call that does not come.",
        "`urban undelivered list`, which tells the reason of each; the receiver's own log.",
        "Call by other means first. Then mend the receiver, or URBAN_RECEIVERS, and `urban undelivered replay`.",
    ),
)
