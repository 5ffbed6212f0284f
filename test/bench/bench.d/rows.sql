UPDATE orders SET amount = amount + 1001
