#
# What a transaction that plays brings to other servers does not become real there, and replies are UTF-8 in databases that are not.
#

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use WorkflowTest;

my $node = new_server('played');
my $server = q[CREATE SERVER pay FOREIGN DATA WRAPPER workflow_http OPTIONS (url 'http://127.0.0.1:9/v1')];

sub sql { return $node->safe_psql($_[0], $_[1]) }

# ---- encodings ----

sql('postgres', q[CREATE DATABASE latin TEMPLATE template0 ENCODING 'LATIN1' LOCALE 'C']);
add_extension($node, 'latin');
sql('latin', $server);
sql('latin', q[SELECT workflow.define('ask', '{"steps": [{"step": "a", "http": {"server": "pay"}, "save": {"body": "${$reply.body}", "by": "${$reply.headers.\"x-by\"}"}}]}')]);
is(sql('latin', <<'EOQ'), "caf\\xe9\t200\tnone", 'replies in a database that is not UTF-8; headers that are not ASCII are none there');
BEGIN;
CREATE FUNCTION pg_temp.bytes(text) RETURNS text RETURN replace(encode(convert_to($1, 'LATIN1'), 'escape'), '\351', '\xe9');
SELECT set_config('search_path', 'pg_catalog', true) \g /dev/null
SELECT workflow.mock('pay', reply => jsonb_build_object('body', convert_from('\x636166e9', 'LATIN1'), 'headers', jsonb_build_object('X-By', convert_from('\x4a6f73e9', 'LATIN1')))) \g /dev/null
SELECT workflow.start('ask') AS i \gset
SELECT event AS e FROM workflow.advance() \gset
SELECT concat_ws(E'\t', pg_temp.bytes(data ->> 'body'), right(:'e', 3), coalesce(data ->> 'by', 'none')) FROM workflow.instances WHERE instance = :i;
ROLLBACK;
EOQ

# ---- foreign tables ----

SKIP:
{
	skip 'there is no postgres_fdw', 12 unless sql('postgres', "SELECT count(*) FROM pg_available_extensions WHERE name = 'postgres_fdw'");

	my ($host, $port) = ($node->host, $node->port);
	sql('postgres', $server);
	sql('postgres', <<"EOQ");
CREATE EXTENSION postgres_fdw;
CREATE TABLE near (n integer);
CREATE SERVER far FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host '$host', port '$port', dbname 'postgres');
CREATE USER MAPPING FOR CURRENT_USER SERVER far;
CREATE FOREIGN TABLE far (n integer) SERVER far OPTIONS (schema_name 'public', table_name 'near');
SELECT workflow.define('far', '{"steps": [{"step": "a", "sql": "INSERT INTO public.far VALUES (1)"}]}');
EOQ

	# Each in a session of its own, in which the wrapper comes to it after workflow.
	sub never_written
	{
		my ($script, $what) = @_;
		my ($status, $stdout, $stderr) = $node->psql('postgres', $script);
		like($stderr, qr/cannot be committed/, "$what: not committed here");
		is(sql('postgres', 'SELECT count(*) FROM near'), 0, '... nor there');
		sql('postgres', 'TRUNCATE near');
	}
	my $play = q[SELECT workflow.start('far'); SELECT event FROM workflow.advance();];
	never_written("BEGIN; $play COMMIT;", 'what is played');
	never_written(q[BEGIN; SELECT workflow.mock('pay'); INSERT INTO far VALUES (2); COMMIT;], 'what the test writes itself');
	never_written(q[DO $$ BEGIN PERFORM workflow.mock('pay'); INSERT INTO far VALUES (2); COMMIT; END $$], 'what a procedure writes before it commits');
	sql('postgres', q[CREATE FUNCTION late() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN INSERT INTO far VALUES (3); RETURN NULL; END';
		CREATE TABLE late (n integer); CREATE CONSTRAINT TRIGGER late AFTER INSERT ON late DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION late()]);
	never_written(q[DO $$ BEGIN PERFORM workflow.mock('pay'); INSERT INTO late VALUES (2); COMMIT; END $$], 'what a deferred trigger writes');
	never_written(q[DO $$ BEGIN PERFORM workflow.mock('pay'); COPY far FROM PROGRAM 'echo 4'; COMMIT; END $$], 'what is copied');
	never_written(q[DO $$ BEGIN PERFORM workflow.start('far'); PERFORM workflow.advance(); END $$], 'a single statement');
}

done_testing();
