-- One of those that wait, if this client knows of any; else it looks which of its next ones do.
\if :i < :known
\set instance :first + :client_id + 8 * :i
\set visit :instance + :visit_offset
SELECT workflow.complete(:instance::text || '_' || :visit::text, '{"status": "SUCCESS", "receipt": "R-17"}');
\set i :i + 1
\else
SELECT least(coalesce(min(g), :i::bigint + 32), :per_client::bigint) AS known FROM generate_series(:i::bigint, :i::bigint + 31) g,
LATERAL (SELECT FROM workflow_data.visit v WHERE v.instance = :first::bigint + :client_id::bigint + 8 * g AND v.state <> 'waiting' LIMIT 1) AS not_yet \gset
\if :known = :i
\sleep 5 ms
\endif
\endif
