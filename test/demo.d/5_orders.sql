INSERT INTO shop.orders (customer, amount)
VALUES ('Ada', 120), ('Grace', 80), ('Edsger', 4200), ('Barbara', 310.50)
RETURNING id, customer, state;
