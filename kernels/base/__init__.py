"""What everything stands on: records, settings, the sentence of a refusal, the CPUs that may be used."""
