-- What rows of an application look like, to be attached; and the same for the baseline.
CREATE TABLE orders (
	id bigint PRIMARY KEY,
	customer text NOT NULL,
	amount numeric NOT NULL,
	ordered_at timestamptz NOT NULL DEFAULT now()
);
CREATE TABLE plain_orders (LIKE orders INCLUDING ALL);
