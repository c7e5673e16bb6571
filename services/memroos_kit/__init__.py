"""The tools all processes share: database, clock, ids, log, settings, problems, service skeleton, outbound guard."""
