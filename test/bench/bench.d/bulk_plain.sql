INSERT INTO plain_orders (id, customer, amount) SELECT n, 'customer ' || n, n % 1000 FROM generate_series(1, :n) n;
INSERT INTO plain.instance SELECT * FROM plain.instance_rows;
INSERT INTO plain.visit SELECT * FROM plain.visit_rows;
