SELECT count(workflow.start('waits', jsonb_build_object('id', n, 'customer', 'customer ' || n, 'amount', n % 1000))) FROM generate_series(1, :n) n
