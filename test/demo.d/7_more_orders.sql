INSERT INTO shop.orders (customer, amount)
VALUES ('Alan', 15), ('Katherine', 99.90), ('Tony', 640);
