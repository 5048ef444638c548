"""Run all benchmarks that have a target, and print one table: ``python -m benchmarks [--quick]``."""

from __future__ import annotations

from benchmarks import (
    bench_calls,
    bench_cancel,
    bench_dag,
    bench_direct,
    bench_events,
    bench_http,
    bench_import,
    bench_isolation,
    bench_journal,
    bench_journalling,
    bench_past_runs,
    bench_processes,
    bench_rehearse,
    bench_runs,
    bench_streams,
    bench_tasks,
    bench_waiting,
)
from benchmarks.harness import main

if __name__ == "__main__":
    main(
        bench_import.bench,
        bench_calls.bench,
        bench_direct.bench,
        bench_isolation.bench,
        bench_http.bench,
        bench_streams.bench,
        bench_events.bench,
        bench_runs.bench,
        bench_tasks.bench,
        bench_cancel.bench,
        bench_waiting.bench,
        bench_dag.bench,
        bench_journal.bench,
        bench_journalling.bench,
        bench_past_runs.bench,
        bench_processes.bench,
        bench_rehearse.bench,
    )
