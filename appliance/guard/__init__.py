"""pump-guard: the second channel, which shares no limit and no counting with the engine."""
