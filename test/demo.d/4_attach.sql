-- By the shop: what starts the process, and who may complete its steps.
SELECT workflow.attach('shop.orders', 'order', serial_column => 'sn', status_column => 'state');
SELECT workflow.grant_process('order', 'partner', 'complete'), workflow.grant_process('order', 'warehouse', 'complete');
