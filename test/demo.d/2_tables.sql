-- By the shop: tables as any shop has them.
CREATE TABLE shop.orders (
    id       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    customer text NOT NULL,
    amount   numeric NOT NULL,
    state    text,
    sn       text
);
CREATE TABLE batch.shipment (order_id bigint NOT NULL, sn text PRIMARY KEY, parcel text);
GRANT SELECT, UPDATE, DELETE ON batch.shipment TO warehouse;
