#
# ALTER EXTENSION workflow UPDATE: what it refuses, what it keeps of rights and owners, that it happens as a whole, while others are at work, and that a dump of
# what it has made is one of this version.
#
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib", "$FindBin::Bin/../partner";

use OldDatabase;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use WorkflowTest;

my $node = new_server('main', extension => 0, conf => "workflow.retention = ''\n");
old_roles($node);

sub version { return $node->safe_psql($_[0], "SELECT extversion FROM pg_extension WHERE extname = 'workflow'") }

# ---- what depends on it ----

$node->safe_psql('postgres', 'CREATE DATABASE depends');
$node->safe_psql('depends', "CREATE EXTENSION workflow VERSION '0.1'");
$node->safe_psql('depends', <<'EOQ');
CREATE VIEW kept AS SELECT serial_number, step FROM workflow.waiting;
CREATE MATERIALIZED VIEW kept_too AS SELECT 1 AS one WHERE false;
CREATE TABLE kept_default (n text DEFAULT workflow.serial_number(1, 2));
CREATE INDEX ON kept_default (workflow.serial_number(length(n), 1));
CREATE FUNCTION called() RETURNS boolean LANGUAGE sql BEGIN ATOMIC SELECT workflow.complete('5_31', '{}'); END;
CREATE TABLE defaulted (i bigint DEFAULT workflow.start('p'));
CREATE VIEW reads_tables AS SELECT instance FROM workflow.instance;
CREATE VIEW tried AS SELECT attempt FROM workflow.attempts;
CREATE VIEW living AS SELECT instance FROM workflow.living_instances;
CREATE TABLE refers (v bigint REFERENCES workflow.process);
CREATE FUNCTION takes_row(workflow.visit) RETURNS int LANGUAGE sql RETURN 1;
CREATE INDEX added_index ON workflow.visit (step);
ALTER TABLE workflow.instance ADD COLUMN region text, ADD CONSTRAINT some_rule CHECK (tokens < 1000);
CREATE FUNCTION public.noticed() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
CREATE TRIGGER told AFTER INSERT ON workflow.late_callback FOR EACH ROW EXECUTE FUNCTION public.noticed();
CREATE FUNCTION workflow.mine() RETURNS int LANGUAGE sql RETURN 1;
CREATE PUBLICATION changes FOR TABLE workflow.instance;
CREATE RULE seen AS ON DELETE TO workflow.process DO ALSO SELECT 1;
CREATE STATISTICS workflow.of_two ON process_id, version FROM workflow.instance;
EOQ
my ($status, undef, $stderr) = $node->psql('depends', "\\set VERBOSITY verbose\nALTER EXTENSION workflow UPDATE");
like($stderr, qr/2BP01: cannot update extension "workflow" to version 0\.2, since objects that are not its own would be lost/, 'what would be lost is refused');
for my $line (
	'function public.called() depends on function workflow.complete(text,jsonb)',
	'default value for column i of table public.defaulted depends on function workflow.start(text,jsonb,text,integer)',
	'view public.reads_tables depends on table workflow.instance',
	'view public.living depends on view workflow.living_instances',
	'view public.tried depends on view workflow.attempts',
	'constraint refers_v_fkey on table public.refers depends on table workflow.process',
	'function public.takes_row(workflow.visit) depends on type workflow.visit',
	'index workflow.added_index depends on table workflow.visit',
	'column region of table workflow.instance was added',
	'constraint some_rule on table workflow.instance depends on table workflow.instance',
	'trigger told on table workflow.late_callback depends on table workflow.late_callback',
	'function workflow.mine() is in the schema of the extension',
	'publication of table workflow.instance in publication changes depends on table workflow.instance',
	'rule seen on table workflow.process depends on table workflow.process',
	'statistics object workflow.of_two depends on')
{
	ok(index($stderr, $line) >= 0, $line) or diag($stderr);
}
unlike($stderr, qr/kept/, 'what would not is not told');
like($stderr, qr/HINT:  Drop them, or move them to another schema, and make them again after the update/, 'and what helps');
is(version('depends'), '0.1', 'nothing was done');
$node->safe_psql('depends', <<'EOQ');
DROP FUNCTION called(), takes_row, workflow.mine; DROP TABLE defaulted, refers; DROP VIEW reads_tables, living, tried; DROP INDEX workflow.added_index; DROP STATISTICS workflow.of_two;
ALTER TABLE workflow.instance DROP COLUMN region, DROP CONSTRAINT some_rule; DROP TRIGGER told ON workflow.late_callback; DROP PUBLICATION changes; DROP RULE seen ON workflow.process;
EOQ
$node->safe_psql('depends', 'ALTER EXTENSION workflow UPDATE');
is(version('depends'), '0.2', 'without them it is updated');
is($node->safe_psql('depends', 'SELECT count(*) FROM kept'), 0, 'views on views whose columns are the same are still there');

# ---- rights, and whose it is ----

$node->safe_psql('postgres', 'CREATE ROLE keeper SUPERUSER LOGIN');
$node->safe_psql('postgres', 'CREATE ROLE other_dba SUPERUSER LOGIN');
$node->safe_psql('postgres', 'CREATE DATABASE rights');
$node->safe_psql('rights', "SET ROLE keeper; CREATE EXTENSION workflow VERSION '0.1'");
$node->safe_psql('rights', <<'EOQ');
GRANT USAGE ON SCHEMA workflow TO upg_owner;
GRANT EXECUTE ON FUNCTION workflow.define(text, json), workflow.attach(regclass, text, name, text, name, name, text, text, text), workflow.grant_process(text, name, text) TO upg_owner;
GRANT EXECUTE ON FUNCTION workflow.adopt() TO upg_ops;
REVOKE EXECUTE ON FUNCTION workflow.start(text, jsonb, text, integer), workflow.complete(text, jsonb), workflow.timeline(bigint) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION workflow.start(text, jsonb, text, integer) TO upg_client WITH GRANT OPTION;
REVOKE EXECUTE ON PROCEDURE workflow.wait_for(bigint, interval, text) FROM PUBLIC;
GRANT EXECUTE ON PROCEDURE workflow.wait_for(bigint, interval, text) TO upg_ops;
REVOKE SELECT ON workflow.instances FROM PUBLIC;
GRANT SELECT ON workflow.instances TO upg_ops;
GRANT SELECT (instance, status) ON workflow.instances TO upg_reader;
GRANT SELECT ON workflow.living_instances TO upg_reader;
GRANT SELECT ON workflow.visit TO upg_reader;
REVOKE SELECT ON workflow.attempts FROM PUBLIC;
GRANT SELECT ON workflow.attempts TO upg_ops;
EOQ
($status, undef, $stderr) = $node->psql('rights', "SET ROLE other_dba; ALTER EXTENSION workflow UPDATE");
is($status, 0, 'updated by somebody else');
like($stderr, qr/WARNING:  upg_reader has no SELECT on workflow\.visit any more/, 'what cannot be granted any more is told');
like($stderr, qr/WARNING:  upg_reader has no SELECT on workflow\.living_instances any more/, 'of a view, too');
my $rights = <<'EOQ';
SELECT has_schema_privilege('upg_owner', 'workflow', 'USAGE'), has_schema_privilege('upg_reader', 'workflow', 'USAGE'),
	has_function_privilege('upg_owner', 'workflow.define(text, json)', 'EXECUTE'), has_function_privilege('upg_ops', 'workflow.define(text, json)', 'EXECUTE'),
	(SELECT has_function_privilege('upg_owner', oid, 'EXECUTE') FROM pg_proc WHERE pronamespace = 'workflow'::regnamespace AND proname = 'attach'),
	(SELECT has_function_privilege('upg_ops', oid, 'EXECUTE') FROM pg_proc WHERE pronamespace = 'workflow'::regnamespace AND proname = 'attach'),
	has_function_privilege('upg_ops', 'workflow.adopt()', 'EXECUTE'),
	(SELECT has_function_privilege('upg_client', oid, 'EXECUTE WITH GRANT OPTION') FROM pg_proc WHERE pronamespace = 'workflow'::regnamespace AND proname = 'start'),
	(SELECT has_function_privilege('upg_ops', oid, 'EXECUTE') FROM pg_proc WHERE pronamespace = 'workflow'::regnamespace AND proname = 'start'),
	(SELECT bool_or(has_function_privilege('upg_ops', oid, 'EXECUTE')) FROM pg_proc WHERE pronamespace = 'workflow'::regnamespace AND proname = 'complete'),
	has_function_privilege('upg_ops', 'workflow.timeline(bigint)', 'EXECUTE'), has_function_privilege('upg_ops', 'workflow.skip(text, jsonb)', 'EXECUTE'),
	(SELECT has_function_privilege('upg_ops', oid, 'EXECUTE') FROM pg_proc WHERE pronamespace = 'workflow'::regnamespace AND proname = 'wait_for'),
	(SELECT has_function_privilege('upg_client', oid, 'EXECUTE') FROM pg_proc WHERE pronamespace = 'workflow'::regnamespace AND proname = 'wait_for'),
	has_table_privilege('upg_ops', 'workflow.instances', 'SELECT'), has_table_privilege('upg_client', 'workflow.instances', 'SELECT'),
	has_column_privilege('upg_reader', 'workflow.instances', 'status', 'SELECT'), has_column_privilege('upg_reader', 'workflow.instances', 'data', 'SELECT'),
	has_table_privilege('upg_ops', 'workflow.attempts', 'SELECT'), has_table_privilege('upg_reader', 'workflow.attempts', 'SELECT'),
	has_table_privilege('upg_reader', 'workflow_data.visit', 'SELECT'), has_table_privilege('upg_reader', 'workflow.waiting', 'SELECT')
EOQ
my $granted = 't|f|t|f|t|f|t|t|f|f|f|t|t|f|t|f|t|f|t|f|f|t';
is($node->safe_psql('rights', $rights), $granted, 'who might do what may do it, and nobody else');
is($node->safe_psql('rights', <<'EOQ'), '', 'all of it is the same owner\'s');
SELECT oid::regclass::text FROM pg_class WHERE relnamespace IN ('workflow'::regnamespace, 'workflow_data'::regnamespace) AND relowner <> 'keeper'::regrole
UNION ALL SELECT oid::regprocedure::text FROM pg_proc WHERE pronamespace IN ('workflow'::regnamespace, 'workflow_data'::regnamespace) AND proowner <> 'keeper'::regrole
UNION ALL SELECT nspname FROM pg_namespace WHERE nspname = 'workflow_data' AND nspowner <> 'keeper'::regrole
EOQ

# A dump carries what users have granted, and nothing that the extension grants itself.
my $dump = $node->basedir . '/rights.sql';
command_ok([ 'pg_dump', '-d', $node->connstr('rights'), '-f', $dump ], 'it is dumped');
$node->safe_psql('postgres', 'CREATE DATABASE rights_again');
my ($out, $err);
run_log([ 'psql', '-X', '-q', '-d', $node->connstr('rights_again'), '-f', $dump ], '>', \$out, '2>', \$err);
is($err, '', 'and restored');
is($node->safe_psql('rights_again', $rights), $granted, 'with the same rights');
is($node->safe_psql('rights', "SELECT count(*) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE relname LIKE 'workflow_upgrade%'"), 0, 'nothing is left of the script');

# ---- a whole ----

old_database($node, 'whole', own => 0);
my $rows = q[SELECT (SELECT count(*) FROM workflow.visit), (SELECT count(*) FROM workflow.visit_history), to_regnamespace('workflow_data'), (SELECT count(*) FROM pg_inherits WHERE inhparent = 'workflow.visit_history'::regclass)];
my $was = $node->safe_psql('whole', $rows);
$node->safe_psql('whole', "UPDATE workflow.instance SET status = repeat('x', 10) WHERE instance = 5");
$node->safe_psql('whole', "BEGIN; ALTER EXTENSION workflow UPDATE; ROLLBACK");
is($node->safe_psql('whole', $rows), $was, 'a rollback leaves what there was');
# a row that the new version cannot read: clocks of handlers are computed from it
$node->safe_psql('whole', q[UPDATE workflow.process_version SET definition = '{"steps": 1}' WHERE process_id = (SELECT process_id FROM workflow.process WHERE process = 'reminder')]);
($status, undef, $stderr) = $node->psql('whole', 'ALTER EXTENSION workflow UPDATE');
isnt($status, 0, 'an update that fails near its end');
diag($stderr) if $status == 0;
is($node->safe_psql('whole', $rows), $was, 'leaves what there was, too');
is(version('whole'), '0.1', 'and the version');

# ---- attached tables that are gone, or bring code of others ----

old_database($node, 'tables', with => <<'EOQ');
DROP TABLE shop.parcels;
CREATE FUNCTION public.theirs() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
ALTER FUNCTION public.theirs() OWNER TO upg_client;
CREATE TRIGGER theirs BEFORE UPDATE ON shop.orders FOR EACH ROW EXECUTE FUNCTION public.theirs();
EOQ
($status, undef, $stderr) = $node->psql('tables', 'ALTER EXTENSION workflow UPDATE');
is($status, 0, 'a table that is gone is no obstacle');
like($stderr, qr/WARNING:  rows of table "orders" will not show their instances of process "order" any more\nDETAIL:.*function public\.theirs\(\) of role upg_client/, 'one that runs code of others is named');
is($node->safe_psql('tables', 'SELECT relation FROM workflow.attachments'), 'shop.orders', 'the other one is attached');
$node->safe_psql('tables', q[SELECT workflow.cancel(instance) FROM workflow.instances WHERE business_key = '6' AND process = 'order']);
is_soon($node, 'tables', q[SELECT error IS NOT NULL FROM workflow.write_backs WHERE business_key = '6'], 't', 'what it should show is owed');
$node->safe_psql('tables', 'DROP TRIGGER theirs ON shop.orders; SELECT workflow.write_back(\'shop.orders\')');
is_soon($node, 'tables', 'SELECT state FROM shop.orders WHERE id = 6', 'aborted', 'and written when it no longer does');

# ---- while others are at work ----

old_database($node, 'busy');
my $open = $node->background_psql('busy', on_error_stop => 0);
$open->query_safe("BEGIN; SELECT count(*) FROM workflow.visit; SELECT count(*) FROM shop.orders; INSERT INTO shop.noted (what) VALUES ('busy')");
($status, undef, $stderr) = $node->psql('busy', "SET lock_timeout = '300 ms'; ALTER EXTENSION workflow UPDATE");
like($stderr, qr/canceling statement due to lock timeout/, 'it waits for those who read its tables, as long as it is told');
$open->query_safe('COMMIT');
my $session = $node->background_psql('busy', on_error_stop => 0);
$session->query('SELECT workflow.start(\'quick\'); SELECT 1');
$node->safe_psql('busy', 'ALTER EXTENSION workflow UPDATE');
like($session->query("SELECT 'started ' || workflow.start('quick')"), qr/started \d+/, 'a session that was refused before works after it');
like($open->query("SELECT 'shown ' || count(*) FROM workflow.waiting"), qr/shown \d+/, 'as does one that has read the tables');
$open->query_safe("INSERT INTO shop.orders (id, what) VALUES (50, 'by an old session')");
is_soon($node, 'busy', 'SELECT (instance IS NOT NULL)::text FROM shop.orders WHERE id = 50', 'true', 'rows of such a session start instances');
$_->quit for $open, $session;

# A dump of it is one of this version: partitions with columns in another order are taken.
$node->safe_psql('postgres', 'CREATE DATABASE again');
$dump = $node->basedir . '/busy.sql';
command_ok([ 'pg_dump', '-d', $node->connstr('busy'), '-f', $dump ], 'a database that was updated is dumped');
run_log([ 'psql', '-X', '-q', '-d', $node->connstr('again'), '-f', $dump ], '>', \$out, '2>', \$err);
is($err, '', 'and restored');
is(version('again'), '0.2', 'as one of this version');
my $all = 'SELECT serial_number, step, outcome, result FROM workflow.history ORDER BY 1';
is($node->safe_psql('again', $all), $node->safe_psql('busy', $all), 'with its history');
$node->safe_psql('again', 'SELECT workflow.adopt()');
is($node->safe_psql('again', 'SELECT count(*) FROM workflow.verify()'), 0, 'its rows agree');

# ---- and away ----

$node->safe_psql('busy', 'DROP EXTENSION workflow CASCADE');
is($node->safe_psql('busy', "SELECT count(*) FROM pg_class WHERE relnamespace IN (SELECT oid FROM pg_namespace WHERE nspname IN ('workflow', 'workflow_data'))"), 0, 'DROP EXTENSION takes all of it');
is($node->safe_psql('busy', "SELECT count(*) FROM pg_trigger WHERE NOT tgisinternal"), 0, 'and the triggers of attached tables');
$node->safe_psql('busy', "INSERT INTO shop.orders (id) VALUES (60)");

$node->stop;
done_testing();
