WITH changed AS (UPDATE plain_orders SET amount = amount + 1001 RETURNING id, amount)
UPDATE plain.instance i SET data = i.data || jsonb_build_object('amount', c.amount) FROM changed c WHERE i.business_key = c.id::text
