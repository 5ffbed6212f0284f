SELECT serial_number, step, state, attempt, to_char(due_at, 'HH24:MI:SS.MS') AS next_attempt
FROM workflow.visits WHERE step = 'charge' ORDER BY serial_number;
