\set amount random(1, 1000)
SELECT workflow.start('wait', jsonb_build_object('customer', 'Ann Example', 'amount', :amount::bigint));
