-- By the shop: tables as any shop has them. A row in is an order begun.
CREATE TABLE shop.orders (
    id       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    customer text NOT NULL,
    amount   numeric NOT NULL,
    state    text,    -- kept up to date: active, completed, aborted, failed
    sn       text     -- kept up to date: the serial number that is waited for
);
CREATE TABLE batch.shipment (order_id bigint NOT NULL, sn text PRIMARY KEY, parcel text);

SELECT workflow.attach('shop.orders', 'order', serial_column => 'sn', status_column => 'state');

SELECT workflow.grant_process('order', 'partner', 'complete');
SELECT workflow.grant_process('order', 'warehouse', 'complete');
GRANT SELECT, UPDATE ON batch.shipment TO warehouse;
