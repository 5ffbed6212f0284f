#
# What others have put on the extension's tables, which are read and written without statements: row triggers, constraints, defaults, indexes and
# publications count as they do for statements; what only statements heed is refused.
#
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Session;
use Test::More;
use WorkflowTest;

my $node = new_server('tables', conf => "wal_level = logical\nmax_replication_slots = 4\nworkflow.databases = 'postgres'\n");

sub sql { return $node->safe_psql('postgres', $_[0]) }

sub error
{
	my ($status, $stdout, $stderr) = $node->psql('postgres', "\\set VERBOSITY verbose\n$_[0]");
	return $stderr =~ /ERROR:\s+(\w{5}: .*)/ ? $1 : '';
}

sub start { return sql("SELECT workflow.start('two')") }

# SQL that completes what the instance waits for.
sub complete { return "SELECT workflow.complete(serial_number) FROM workflow.visits WHERE instance = $_[0]" }

# An instance comes to its end.
sub passes
{
	my ($name) = @_;
	my $instance = start();
	sql(complete($instance)) for 1, 2;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	is(sql("SELECT status FROM workflow.instances WHERE instance = $instance"), 'completed', $name);
	return $instance;
}

sql(q[
	SELECT workflow.define('two', '{"steps": [{"step": "one", "wait": true}, {"step": "two", "wait": true}]}');
	CREATE EXTENSION amcheck;
	CREATE TABLE log (n serial, line text)]);
start();
is_soon($node, 'postgres', "SELECT count(DISTINCT inhparent) FROM pg_inherits WHERE inhparent::regclass::text LIKE 'workflow_data.%'", 3, 'the history has partitions');
my $week = sql(q[SELECT inhrelid::regclass FROM pg_inherits WHERE inhparent = 'workflow_data.visit_history'::regclass ORDER BY inhrelid::regclass::text LIMIT 1]);
passes('nothing is there');

# ---- row triggers ----

sql(q[
	CREATE FUNCTION tell() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
		INSERT INTO public.log (line) VALUES (concat_ws(' ', TG_WHEN, TG_OP, TG_ARGV[0],
			CASE WHEN TG_OP <> 'INSERT' THEN to_jsonb(OLD) ->> TG_ARGV[1] END, '>', CASE WHEN TG_OP <> 'DELETE' THEN to_jsonb(NEW) ->> TG_ARGV[1] END));
		RETURN CASE WHEN TG_OP = 'DELETE' THEN OLD ELSE NEW END;
	END $$;
	CREATE TRIGGER a BEFORE INSERT OR UPDATE OR DELETE ON workflow_data.visit FOR EACH ROW EXECUTE FUNCTION tell('visit', 'step');
	CREATE TRIGGER b AFTER INSERT OR UPDATE OR DELETE ON workflow_data.visit FOR EACH ROW EXECUTE FUNCTION tell('visit', 'step');
	CREATE TRIGGER c AFTER UPDATE OF status ON workflow_data.instance FOR EACH ROW EXECUTE FUNCTION tell('instance', 'status');
	CREATE TRIGGER d AFTER UPDATE OF business_key ON workflow_data.instance FOR EACH ROW EXECUTE FUNCTION tell('key', 'instance');
	CREATE TRIGGER e AFTER INSERT ON workflow_data.visit_history FOR EACH ROW EXECUTE FUNCTION tell('history', 'step');
	CREATE TRIGGER f AFTER DELETE ON workflow_data.instance FOR EACH ROW WHEN (OLD.status = 'active') EXECUTE FUNCTION tell('instance', 'status')]);
my $instance = start();
is(sql('SELECT string_agg(line, E\'\n\' ORDER BY n) FROM log'), "BEFORE INSERT visit > one\nAFTER INSERT visit > one", 'row triggers: of an insert');
sql("DELETE FROM log; SELECT workflow.suspend($instance)");
is(sql('SELECT string_agg(line, E\'\n\' ORDER BY n) FROM log'),
	"AFTER UPDATE instance active > suspended\nBEFORE UPDATE visit one > one\nAFTER UPDATE visit one > one", 'of updates');
sql("SELECT workflow.resume($instance); DELETE FROM log; " . complete($instance));
is(sql('SELECT string_agg(line, E\'\n\' ORDER BY n) FROM log'),
	"BEFORE INSERT visit > two\nAFTER INSERT visit > two\nBEFORE DELETE visit one >\nAFTER DELETE visit one >\nAFTER INSERT history > one", 'of a move');
sql('DELETE FROM log; ' . complete($instance));
is(sql('SELECT string_agg(line, E\'\n\' ORDER BY n) FROM log'),
	"BEFORE DELETE visit two >\nAFTER DELETE visit two >\nAFTER INSERT history > two\nAFTER DELETE instance active >", 'of the end');
sql("DROP TRIGGER $_->[0] ON workflow_data.$_->[1]") for [ a => 'visit' ], [ b => 'visit' ], [ c => 'instance' ], [ d => 'instance' ], [ e => 'visit_history' ], [ f => 'instance' ];

sql(q[
	CREATE FUNCTION no_row() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
	CREATE FUNCTION by_me() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.completed_by := ''by trigger''; RETURN NEW; END';
	CREATE FUNCTION later() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.stored_at := NEW.stored_at + interval ''1 month''; RETURN NEW; END';
	CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS
		'BEGIN UPDATE workflow_data.visit SET attempt = attempt WHERE visit = OLD.visit; RETURN OLD; END';
	CREATE FUNCTION again() RETURNS trigger LANGUAGE plpgsql AS
		'BEGIN IF NEW.step = ''one'' THEN PERFORM workflow.start(''two''); END IF; RETURN NULL; END']);
$instance = start();
for (
	[ 'BEFORE DELETE ON workflow_data.visit', 'no_row', qr/^40001: could not serialize access to an instance/, 'a trigger that keeps a row from being deleted' ],
	[ 'BEFORE INSERT ON workflow_data.visit', 'no_row', qr/^40001: could not serialize access to an instance/, 'from being inserted' ],
	[ 'BEFORE DELETE ON workflow_data.visit', 'touch', qr/^27000: tuple to be .* was already modified/, 'that changes the row itself' ],
	[ "BEFORE INSERT ON workflow_data.visit_history", 'later', qr/^0A000: moving row to another partition/, 'that moves it to another partition' ],
	[ "BEFORE INSERT ON $week", 'later', qr/^23514: new row for relation .* violates partition constraint/, 'of the partition itself' ])
{
	my ($when, $function, $expected, $name) = @$_;
	my ($table) = $when =~ /ON (\S+)/;
	sql("CREATE TRIGGER t $when FOR EACH ROW EXECUTE FUNCTION $function()");
	like(error(complete($instance)), $expected, $name);
	sql("DROP TRIGGER t ON $table");
}
sql("CREATE TRIGGER t BEFORE INSERT ON workflow_data.visit_history FOR EACH ROW EXECUTE FUNCTION by_me(); " . complete($instance));
is(sql("SELECT completed_by FROM workflow_data.visit_history WHERE instance = $instance"), 'by trigger', 'that changes what is stored');
sql('DROP TRIGGER t ON workflow_data.visit_history; CREATE TRIGGER t AFTER INSERT ON workflow_data.visit_history FOR EACH ROW EXECUTE FUNCTION again()');
my $before = sql('SELECT count(*) FROM workflow_data.instance');
passes('a trigger that starts another instance');
is(sql('SELECT count(*) FROM workflow_data.instance'), $before + 1, 'which is there');
sql('DROP TRIGGER t ON workflow_data.visit_history');

# ---- foreign keys ----

sql('CREATE TABLE note (instance bigint REFERENCES workflow_data.instance)');
$instance = start();
sql("INSERT INTO note VALUES ($instance); " . complete($instance));
like(error(complete($instance)), qr/^23503: .*"note"/, 'a foreign key is checked');
sql('ALTER TABLE note DROP CONSTRAINT note_instance_fkey, ADD FOREIGN KEY (instance) REFERENCES workflow_data.instance ON DELETE CASCADE; ' . complete($instance));
is(sql('SELECT count(*) FROM note'), 0, 'or cascades');
sql('DROP TABLE note; CREATE TABLE step (step text PRIMARY KEY); ALTER TABLE workflow_data.visit ADD FOREIGN KEY (step) REFERENCES step NOT VALID DEFERRABLE INITIALLY DEFERRED');
like(error("SELECT workflow.start('two')"), qr/^23503: /, 'and that of a row of ours, which is deferred');
$instance = sql("INSERT INTO step VALUES ('one'), ('two'); SELECT workflow.start('two')");
sql('ALTER TABLE workflow_data.visit DROP CONSTRAINT visit_step_fkey; DROP TABLE step');

# ---- constraints, defaults, generated columns ----

for (
	[ 'visit ADD CONSTRAINT c CHECK (step <> \'two\') NOT VALID', 'visit DROP CONSTRAINT c', qr/^23514: new row for relation "visit" violates check constraint "c"/, 'CHECK' ],
	[ 'visit_history ADD CONSTRAINT c CHECK (step <> \'one\') NOT VALID', 'visit_history DROP CONSTRAINT c', qr/^23514: new row for relation "visit_history_\d+" violates/, 'CHECK of the history' ],
	[ 'visit ADD COLUMN more text, ADD CONSTRAINT c CHECK (more IS NOT NULL) NOT VALID', 'visit DROP COLUMN more', qr/^23514: /, 'CHECK of a column that is not ours' ],
	[ 'instance_history ADD COLUMN more integer', 'instance_history DROP COLUMN more', qr/^$/, 'a column of the history' ])
{
	my ($add, $drop, $expected, $name) = @$_;
	my $instance = start() if $name ne 'CHECK of a column that is not ours';
	sql("ALTER TABLE workflow_data.$add");
	like(error(defined $instance ? complete($instance) : "SELECT workflow.start('two')"), $expected, $name);
	sql("ALTER TABLE workflow_data.$drop");
}
sql('CREATE DOMAIN given AS text NOT NULL; CREATE SEQUENCE numbers; GRANT USAGE ON SEQUENCE numbers TO PUBLIC');
sql("ALTER TABLE workflow_data.visit ADD COLUMN double bigint GENERATED ALWAYS AS (visit * 2) STORED,
	ADD COLUMN state_too text GENERATED ALWAYS AS (upper(state)) STORED, ADD COLUMN number integer DEFAULT 7, ADD COLUMN at timestamptz DEFAULT statement_timestamp()");
$instance = start();
is(sql("SELECT double = visit * 2, state_too, number, at IS NOT NULL FROM workflow_data.visit WHERE instance = $instance"), 't|WAITING|7|t', 'defaults and generated columns');
sql("UPDATE workflow_data.visit SET number = 8 WHERE instance = $instance; CREATE TRIGGER g AFTER UPDATE OF state_too ON workflow_data.visit FOR EACH ROW EXECUTE FUNCTION tell('generated', 'state_too'); "
	  . "DELETE FROM log; SELECT workflow.suspend($instance); SELECT workflow.resume($instance)");
is(sql("SELECT double = visit * 2, state_too, number FROM workflow_data.visit WHERE instance = $instance"), 't|WAITING|8', 'an update leaves alone what is not ours');
is(sql('SELECT count(*) FROM log'), 2, 'a trigger of a generated column fires');
sql('DROP TRIGGER g ON workflow_data.visit; ALTER TABLE workflow_data.visit DROP COLUMN double, DROP COLUMN state_too, DROP COLUMN number, DROP COLUMN at');
passes('and nothing is left of that');
$instance = start();
sql('TRUNCATE log; ALTER TABLE log ADD COLUMN given given DEFAULT \'\'; ALTER TABLE workflow_data.attempt_history ADD COLUMN given given DEFAULT \'x\'; ALTER TABLE workflow_data.attempt_history DROP COLUMN given');

# ---- read-only ----

$instance = start();
like(error('BEGIN READ ONLY; ' . complete($instance)), qr{^25006: cannot execute }, 'a read-only transaction');

# ---- what only statements heed ----

for (
	[ 'CREATE RULE r AS ON INSERT TO workflow_data.visit DO ALSO NOTHING', 'DROP RULE r ON workflow_data.visit', qr/rule r on table/ ],
	[ 'CREATE RULE r AS ON DELETE TO workflow_data.visit DO INSTEAD NOTHING', 'DROP RULE r ON workflow_data.visit', qr/rule r on table/ ],
	[ 'CREATE TRIGGER s AFTER DELETE ON workflow_data.visit EXECUTE FUNCTION tell()', 'DROP TRIGGER s ON workflow_data.visit', qr/statement trigger "s"/ ],
	[ 'CREATE TRIGGER s BEFORE INSERT ON workflow_data.visit_history EXECUTE FUNCTION tell()', 'DROP TRIGGER s ON workflow_data.visit_history', qr/statement trigger "s"/ ],
	[ 'CREATE TRIGGER s AFTER INSERT ON workflow_data.visit REFERENCING NEW TABLE AS n FOR EACH ROW EXECUTE FUNCTION tell()', 'DROP TRIGGER s ON workflow_data.visit', qr/trigger "s" with transition tables/ ],
	[ 'CREATE POLICY p ON workflow_data.instance USING (false); ALTER TABLE workflow_data.instance OWNER TO owner, ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY',
	  'DROP POLICY p ON workflow_data.instance; ALTER TABLE workflow_data.instance OWNER TO postgres, DISABLE ROW LEVEL SECURITY, NO FORCE ROW LEVEL SECURITY', qr/policy "p"/ ],
	[ 'CREATE TABLE child () INHERITS (workflow_data.visit)', 'DROP TABLE child', qr/child table "child"/ ])
{
	my ($make, $drop, $expected) = @$_;
	my $owner = $make =~ /OWNER TO owner/;
	sql('CREATE ROLE owner; GRANT ALL ON SCHEMA workflow_data, workflow TO owner; GRANT ALL ON ALL TABLES IN SCHEMA workflow_data, workflow TO owner') if $owner;
	my $us = sql('SELECT current_user');
	s/OWNER TO postgres/OWNER TO $us/ for $drop;
	sql($make);
	like(error("DO \$\$ BEGIN PERFORM workflow.complete('${instance}_' || (SELECT max(visit) FROM workflow_data.visit WHERE instance = $instance)); END \$\$"),
		qr/^55000: cannot use table workflow_data\.\w+ because of $expected/, $make =~ s/;.*//r);
	sql($drop);
}
for ('CREATE RULE r AS ON INSERT TO workflow_data.visit DO INSTEAD NOTHING; ALTER TABLE workflow_data.visit DISABLE RULE r',
	'CREATE TRIGGER s AFTER DELETE ON workflow_data.visit EXECUTE FUNCTION tell(); ALTER TABLE workflow_data.visit DISABLE TRIGGER s',
	'ALTER TABLE workflow_data.visit ENABLE ROW LEVEL SECURITY; CREATE POLICY p ON workflow_data.visit USING (false)')
{
	sql($_);
	passes("what does nothing is in nobody's way: $_");
}
sql('DROP RULE r ON workflow_data.visit; DROP TRIGGER s ON workflow_data.visit; DROP POLICY p ON workflow_data.visit; ALTER TABLE workflow_data.visit DISABLE ROW LEVEL SECURITY');

# ---- indexes ----

sql(q[
	CREATE UNIQUE INDEX one_of_a_kind ON workflow_data.visit ((upper(step)), process_id) WHERE step = 'lonely';
	CREATE INDEX gin ON workflow_data.instance USING gin (data);
	CREATE INDEX brin ON workflow_data.visit USING brin (entered_at);
	CREATE INDEX hash ON workflow_data.visit USING hash (step);
	CREATE INDEX many ON workflow_data.visit_history (step, instance);
	ALTER TABLE workflow_data.instance ADD CONSTRAINT no_two EXCLUDE USING hash (business_key WITH =) WHERE (business_key LIKE 'x%');
	ALTER TABLE workflow_data.instance ADD CONSTRAINT deferred UNIQUE (instance, started_at) DEFERRABLE INITIALLY DEFERRED;
	SELECT workflow.define('lonely', '{"steps": [{"step": "lonely", "wait": true}]}');
	SELECT workflow.start('lonely', '{"deep": [1, {"x": 2}]}')]);
like(error("SELECT workflow.start('lonely')"), qr/^23505: duplicate key value violates unique constraint "one_of_a_kind"/, 'a unique index of an expression, and of some rows');
is(sql(q[SET enable_seqscan = off; SELECT count(*) FROM workflow_data.instance WHERE data @> '{"deep": [1]}']), 1, 'a gin index');
like(error("SELECT workflow.start('two', '{}', 'x1'); SELECT workflow.define('three', '{\"steps\": [{\"step\": \"one\", \"wait\": true}]}'); SELECT workflow.start('three', '{}', 'x1')"), qr/^23P01|^23505/, 'an exclusion constraint');
passes('indexes of all kinds') for 1 .. 3;

# ---- many rows at once ----

sql(q[
	ALTER TABLE workflow_data.instance DROP CONSTRAINT deferred;
	CREATE TABLE crowd (id text PRIMARY KEY, doc text);
	CREATE TABLE alone (id integer PRIMARY KEY);
	SELECT workflow.define('crowd', '{"steps": [{"step": "one", "wait": true}]}'), workflow.define('crowd_too', '{"steps": [{"step": "one", "wait": true}]}'),
		workflow.attach('crowd', 'crowd'), workflow.attach('alone', 'lonely');
	SELECT pg_create_logical_replication_slot('watch', 'test_decoding')]);
my $inserts = q[SELECT pg_stat_force_next_flush(); SELECT n_tup_ins FROM pg_stat_user_tables WHERE relid = 'workflow_data.instance'::regclass];
my ($few) = sql($inserts) =~ /(\d+)/;
# some larger than a page, in rows of very different size
sql(q[INSERT INTO crowd SELECT 'k' || n, (SELECT string_agg(md5(n || ' ' || m), '') FROM generate_series(1, CASE WHEN n % 7 = 0 THEN 900 ELSE n % 90 END) m)
	FROM generate_series(1, 300) n]);
my ($lot) = sql($inserts) =~ /(\d+)/;
is($lot - $few, 300, 'all are counted');
is(sql('SELECT count(*), count(DISTINCT i.instance), bool_and(i.data ->> \'doc\' IS NOT DISTINCT FROM c.doc) FROM crowd c JOIN workflow_data.instance i ON i.business_key = c.id
	JOIN workflow_data.visit v USING (instance) WHERE v.step = \'one\''), '300|300|t', 'each row has its instance and visit');
is(sql(q[SET enable_seqscan = off; SELECT count(*) FROM workflow_data.instance WHERE data @> '{"id": "k299"}']), 1, 'which indexes of all kinds know');
is(sql("SELECT count(*) FROM pg_logical_slot_get_changes('watch', NULL, NULL) WHERE data LIKE 'table workflow_data.visit: INSERT:%'"), 300, 'and each is decoded');
sql("SELECT pg_drop_replication_slot('watch')");
like(error('INSERT INTO alone SELECT generate_series(11, 80)'), qr/^23505: duplicate key value violates unique constraint "one_of_a_kind"/, 'one that is there already');
sql('SELECT workflow.cancel(instance, \'\') FROM workflow.instances WHERE process = \'lonely\'');
like(error('INSERT INTO alone SELECT generate_series(11, 80)'), qr/^23505: duplicate key value violates unique constraint "one_of_a_kind"/, 'two of the same among them');
is(sql('SELECT count(*) FROM alone'), 0, 'of which nothing stays');
sql("SELECT workflow.attach('crowd', 'crowd_too')");
like(error("INSERT INTO crowd SELECT 'x' || n FROM generate_series(1, 70) n"), qr/^23P01: /, 'an exclusion constraint among them');
sql("SELECT workflow.detach('crowd', 'crowd_too')");
is(sql(q[SELECT count(*) FROM workflow.complete_many((SELECT json_agg(json_build_object('serial_number', serial_number)) FROM workflow.visits WHERE process = 'crowd'))]), 300, 'all end together');
is(sql(q[SELECT count(*) FROM workflow_data.instance_history h JOIN workflow_data.visit_history v USING (instance) JOIN crowd c ON c.id = h.business_key
	WHERE h.data ->> 'doc' IS NOT DISTINCT FROM c.doc]), 300, 'and are in the history');

# ---- in one session, while definitions change ----

my $session = $node->background_psql('postgres', on_error_stop => 0);

sub within
{
	my ($statements, $name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	$session->query($statements) if $statements ne '';
	my $instance = $session->query("SELECT workflow.start('two')");
	$session->query(complete($instance)) for 1, 2;
	is($session->query("SELECT status FROM workflow.instances WHERE instance = $instance"), 'completed', $name);
}
within('', 'a session');
within('CREATE INDEX late ON workflow_data.visit (key)', 'with one index more');
within('BEGIN; CREATE INDEX undone ON workflow_data.visit (key, step); SAVEPOINT a; ALTER TABLE workflow_data.visit ADD COLUMN undone integer DEFAULT 3', 'with a column, uncommitted');
within('ROLLBACK TO a', 'that is undone');
within('ROLLBACK', 'as the index is');
within('ALTER TABLE workflow_data.visit ADD COLUMN kept integer DEFAULT 5', 'with a column');
within('DROP INDEX workflow_data.late; ALTER TABLE workflow_data.visit DROP COLUMN kept', 'without');
within('REINDEX TABLE workflow_data.visit; VACUUM FULL workflow_data.visit; CLUSTER workflow_data.instance USING instance_pkey', 'with new files');
sql('REINDEX TABLE CONCURRENTLY workflow_data.visit');
within('', 'with indexes that somebody else has made anew');
within("SELECT workflow.start('lonely')", 'after an error') for 1, 2;
within("BEGIN; SAVEPOINT a; SELECT workflow.start('lonely'); ROLLBACK TO a", 'after one in a subtransaction');
within('COMMIT', 'and after that');

# an index that is made meanwhile waits for those who do not know it
$session->query("BEGIN; SELECT workflow.start('two')");
my $maker = $node->background_psql('postgres');
$maker->query_until(qr/go/, "\\echo go\nCREATE INDEX CONCURRENTLY meanwhile ON workflow_data.visit (step, state);\n");
wait_until(sub { sql("SELECT count(*) FROM pg_stat_progress_create_index WHERE phase LIKE 'waiting%'") > 0 }, 'an index is made concurrently');
passes('somebody else knows of it already');
$session->query("SELECT workflow.start('two'); COMMIT");
wait_until(sub { sql("SELECT indisvalid FROM pg_index WHERE indexrelid = 'workflow_data.meanwhile'::regclass") eq 't' }, 'it is ready');
$maker->quit;
within('', 'and the first one learns of it');
$session->quit;

# one that is there already when a session learns of it, but does not take entries yet
my ($reader, $holder, $learner) = map { Session->new($node, 'postgres') } 1 .. 3;
$reader->run('BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1');
$holder->run("BEGIN; SELECT workflow.start('two')");
$maker = $node->background_psql('postgres');
$maker->query_until(qr/go/, "\\echo go\nCREATE INDEX CONCURRENTLY afterwards ON workflow_data.visit (entered_at);\n");
wait_until(sub { sql("SELECT count(*) FROM pg_stat_progress_create_index WHERE phase LIKE 'waiting for writers%'") > 0 }, 'an index is begun');
$learner->run("SELECT workflow.start('two')");
$holder->run('COMMIT');
wait_until(sub { sql("SELECT count(*) FROM pg_stat_progress_create_index WHERE phase = 'waiting for old snapshots'") > 0 }, 'it has all rows');
$learner->run("SELECT workflow.start('two')");
$reader->run('COMMIT');
wait_until(sub { sql("SELECT indisvalid FROM pg_index WHERE indexrelid = 'workflow_data.afterwards'::regclass") eq 't' }, 'it is ready');
$maker->quit;
is(error("SELECT bt_index_check('workflow_data.afterwards', heapallindexed => true)"), '', 'and has what was inserted meanwhile');

# ---- what is counted, decoded, published ----

sql("SELECT pg_create_logical_replication_slot('watch', 'test_decoding')");
$instance = passes('somebody decodes');
my @changes = map { /^table workflow_data\.(\w+?)(?:_\d{8})?: (\w+):/ ? "$1 $2" : () }
  split /\n/, sql("SELECT data FROM pg_logical_slot_get_changes('watch', NULL, NULL) WHERE data LIKE '%: %instance[bigint]:$instance %' OR data LIKE '%: %instance[bigint]:$instance'");
is("@changes", 'instance INSERT visit INSERT visit INSERT visit DELETE visit_history INSERT visit DELETE visit_history INSERT instance DELETE instance_history INSERT', 'every change is decoded')
  or diag(sql("SELECT 1"));
sql("SELECT pg_drop_replication_slot('watch')");

my $counts = q[SELECT pg_stat_force_next_flush(); SELECT n_tup_ins, n_tup_del FROM pg_stat_user_tables WHERE relid = 'workflow_data.visit'::regclass];
my ($inserted, $deleted) = sql($counts) =~ /(\d+)\|(\d+)/;
passes('somebody counts');
my ($now_inserted, $now_deleted) = sql($counts) =~ /(\d+)\|(\d+)/;
is($now_inserted - $inserted . ' ' . ($now_deleted - $deleted), '2 2', 'rows are counted');

$instance = start();
sql('ALTER TABLE workflow_data.visit REPLICA IDENTITY NOTHING; CREATE PUBLICATION everything FOR TABLE workflow_data.visit');
like(error(complete($instance)), qr/^55000: cannot delete from table "visit" because it does not have a replica identity/, 'a publication needs to know which row it is');
sql('DROP PUBLICATION everything; ALTER TABLE workflow_data.visit REPLICA IDENTITY DEFAULT; ' . complete($instance));

# ---- who owns the tables ----

like(error("REVOKE DELETE ON workflow_data.visit FROM owner; ALTER TABLE workflow_data.visit OWNER TO owner; ALTER TABLE workflow_data.instance OWNER TO owner; "
		  . "REVOKE DELETE ON workflow_data.visit FROM owner; " . complete($instance)), qr/^42501: /, 'rights of the owner count');
sql("REASSIGN OWNED BY owner TO CURRENT_USER; GRANT ALL ON ALL TABLES IN SCHEMA workflow_data TO CURRENT_USER");
passes('and are there again');

# ---- all indexes have what the tables have ----

is(sql(q[
	SELECT count(*) > 10 FROM (SELECT bt_index_check(i.indexrelid, heapallindexed => true) FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
		WHERE c.relnamespace = 'workflow_data'::regnamespace AND c.relam = (SELECT oid FROM pg_am WHERE amname = 'btree') AND c.relkind = 'i' AND i.indisvalid) x]), 't', 'indexes are complete');
done_testing();
