SELECT id, customer, amount, state, sn FROM shop.orders ORDER BY id;
