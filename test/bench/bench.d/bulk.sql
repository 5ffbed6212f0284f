INSERT INTO orders (id, customer, amount) SELECT n, 'customer ' || n, n % 1000 FROM generate_series(1, :n) n
