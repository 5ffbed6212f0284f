#
# Write-backs that cannot be made are owed, whatever it is that stands in the way: the log says so once, a view all the time.
#
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use PostgreSQL::Test::Utils;
use Test::More;
use WorkflowTest;

my $node = new_server('write_backs');
sub sql { return $node->safe_psql('postgres', $_[0]) }

sql(q[
	CREATE ROLE keeper;
	SELECT workflow.define('w', '{"steps": [{"step": "a", "wait": true}]}');
	SELECT workflow.grant_process('w', 'keeper', 'start');
	CREATE TABLE hidden (id int PRIMARY KEY, sn text, state text);
	CREATE TABLE guarded (LIKE hidden INCLUDING ALL);
	CREATE TABLE stubborn (LIKE hidden INCLUDING ALL);
	CREATE TABLE renamed (LIKE hidden INCLUDING ALL);
	ALTER TABLE guarded OWNER TO keeper;
	SELECT workflow.attach(t::regclass, 'w', 'sn', status_column => 'state') FROM unnest('{guarded,stubborn,renamed}'::text[]) t;
	INSERT INTO guarded VALUES (1), (2), (3);
	INSERT INTO stubborn VALUES (1);
	INSERT INTO renamed VALUES (1);
	CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
	CREATE TRIGGER keep BEFORE UPDATE ON stubborn FOR EACH ROW EXECUTE FUNCTION keep();
	ALTER TABLE renamed RENAME sn TO number;
	ALTER TABLE guarded ENABLE ROW LEVEL SECURITY;
	ALTER TABLE guarded FORCE ROW LEVEL SECURITY;
	CREATE POLICY see ON guarded FOR SELECT USING (true);
	CREATE POLICY change ON guarded FOR UPDATE USING (id = 2);]);

sub idle
{
	is_soon($node, 'postgres', "SELECT count(*) FROM workflow.write_backs WHERE error IS NULL", 0, $_[0]);
}

# Complete what a row shows; what the log says of it.
sub said
{
	my ($table, $id, $column, $name) = @_;
	my $from = -s $node->logfile;
	sql("SELECT workflow.complete($column) FROM $table WHERE id = $id");
	idle("$name: done");
	return slurp_file($node->logfile, $from);
}

my $could_not = sub { qr/WARNING:.*could not write to the row with key $_[1] of table "$_[0]": it was not updated/ };
like(said('guarded', 1, 'sn', 'no policy'), $could_not->('guarded', 1), 'a policy that does not let the owner');
unlike(said('guarded', 2, 'sn', 'a policy'), qr/WARNING/, 'one that does');
is(sql('SELECT state FROM guarded WHERE id = 2'), 'completed', 'and the row is written');
like(said('stubborn', 1, 'sn', 'NULL'), $could_not->('stubborn', 1), 'a trigger that returns NULL');
is(sql('SELECT state FROM stubborn'), 'active', 'which leaves the row as it is');

# What is owed, and who sees it.
sub owed { return sql("SELECT string_agg(format('%s %s %s', relation, business_key, left(error, 18)), ', ' ORDER BY relation::text, business_key) FROM workflow.write_backs") }
is(owed(), 'guarded 1 it was not updated, stubborn 1 it was not updated', 'both are owed');
is(sql("SELECT count(*) FROM workflow.write_backs b JOIN workflow.instances i USING (instance) WHERE i.status = 'completed' AND b.process = 'w' AND b.since BETWEEN i.ended_at - interval '1 s' AND i.ended_at + interval '1 s'"),
	2, 'since the end of their instances');
sql(q[CREATE ROLE viewer; CREATE ROLE stranger; GRANT USAGE ON SCHEMA workflow TO viewer, stranger, keeper; SELECT workflow.grant_process('w', 'viewer', 'view');
	CREATE ROLE boss; GRANT USAGE ON SCHEMA workflow TO boss; SELECT workflow.grant_process('w', 'boss', 'admin')]);
sub as { return $node->psql('postgres', "SET ROLE $_[0]; $_[1]") }
is((as('viewer', 'SELECT count(*) FROM workflow.write_backs'))[1], 2, 'whoever may view the process sees them');
is((as('stranger', 'SELECT count(*) FROM workflow.write_backs'))[1], 0, 'others do not');
like((as('viewer', q[\set VERBOSITY verbose
	SELECT workflow.write_back('guarded')]))[2], qr/42501: must be owner of table guarded/, 'trying them now is not for viewers');
like($node->psql('postgres', "SELECT workflow.write_back('hidden')") && (as('keeper', "SELECT workflow.write_back('hidden')"))[2], qr/table "hidden" is not attached to a process/, 'and for attached tables');

# As soon as what stands in the way is gone.
sql("UPDATE workflow_data.delivery SET due_at = now() + interval '1 hour' WHERE kind = 'write_back'");
sql('ALTER TABLE guarded NO FORCE ROW LEVEL SECURITY; ALTER TABLE stubborn DISABLE TRIGGER keep');
is((as('keeper', "SELECT workflow.write_back('guarded')"))[1], 1, 'the owner of the table can have it tried now');
is_soon($node, 'postgres', 'SELECT state || coalesce(sn, \'\') FROM guarded WHERE id = 1', 'completed', 'and it is done');
is((as('boss', "SELECT workflow.write_back('stubborn')"))[1], 1, 'and whoever administers the process');
is_soon($node, 'postgres', 'SELECT state || coalesce(sn, \'\') FROM stubborn', 'completed', 'which is done as well');
is_soon($node, 'postgres', 'SELECT count(*) FROM workflow.write_backs', 0, 'nothing is owed any more');

# Policies that hide the row altogether, even from its owner, and rights that are missing. A row that is there is not taken to be gone.
sql(q[INSERT INTO guarded VALUES (11), (12); ALTER POLICY see ON guarded USING (id <> 11); ALTER POLICY change ON guarded USING (id <> 11);
	CREATE TABLE hidden_numbers AS SELECT id, sn FROM guarded WHERE id > 10; ALTER TABLE guarded FORCE ROW LEVEL SECURITY;
	SELECT workflow.complete(sn) FROM hidden_numbers WHERE id = 11]);
is_soon($node, 'postgres', "SELECT left(error, 18) FROM workflow.write_backs WHERE business_key = '11'", 'it was not updated', 'a row that its owner cannot see is owed');
sql(q[ALTER TABLE guarded NO FORCE ROW LEVEL SECURITY; REVOKE UPDATE ON guarded FROM keeper; SELECT workflow.complete(sn) FROM hidden_numbers WHERE id = 12]);
is_soon($node, 'postgres', "SELECT error FROM workflow.write_backs WHERE business_key = '12'", 'permission denied for table guarded', 'so is one that he may not write to');
sql(q[GRANT UPDATE ON guarded TO keeper; SELECT workflow.write_back('guarded')]);
is_soon($node, 'postgres', "SELECT string_agg(state, ' ') FROM guarded WHERE id > 10", 'completed completed', 'both are written');
is_soon($node, 'postgres', 'SELECT count(*) FROM workflow.write_backs', 0, 'and owed no longer');

# An error that passes is made up for in a second, an hour later if need be, and at once when the instance moves.
sql(q[
	SELECT workflow.define('two', '{"steps": [{"step": "a", "wait": true}, {"step": "b", "wait": true}], "retention": "1 ms"}');
	CREATE TABLE trouble (code text);
	CREATE FUNCTION trouble() RETURNS trigger LANGUAGE plpgsql AS $$
	DECLARE c text := (SELECT code FROM trouble);
	BEGIN
		IF c IS NOT NULL THEN
			RAISE 'trouble' USING ERRCODE = c;
		END IF;
		RETURN new;
	END $$;
	CREATE TABLE troubled (LIKE hidden INCLUDING ALL);
	CREATE TRIGGER t BEFORE UPDATE ON troubled FOR EACH ROW EXECUTE FUNCTION trouble();
	SELECT workflow.attach('troubled', 'two', 'sn', status_column => 'state');
	INSERT INTO troubled SELECT generate_series(1, 9)]);
for my $code (qw(53100 53200 57014 55P03 40001 P0001))
{
	my $id = sql("INSERT INTO trouble VALUES ('$code'); SELECT min(id) FROM troubled WHERE state = 'active'");
	sql("SELECT workflow.cancel(split_part(sn, '_', 1)::bigint) FROM troubled WHERE id = $id");
	is_soon($node, 'postgres', "SELECT error FROM workflow.write_backs WHERE relation = 'troubled'::regclass AND business_key = '$id'", 'trouble', "$code: owed");
	sql('DELETE FROM trouble');
	is_soon($node, 'postgres', "SELECT state || coalesce(sn, '') FROM troubled WHERE id = $id", 'aborted', "$code: made up for");
}
sql("INSERT INTO trouble VALUES ('53100'); CREATE TABLE numbers AS SELECT id, sn FROM troubled");
my $from = -s $node->logfile;
sql('SELECT workflow.complete(sn) FROM numbers WHERE id IN (7, 8)');
is_soon($node, 'postgres', "SELECT min(attempt) > 1 FROM workflow_data.delivery WHERE kind = 'write_back'", 't', 'tried several times');
is(scalar(() = slurp_file($node->logfile, $from) =~ /could not write to the row with key 7 of table "troubled": trouble/g), 1, 'the log says it once');
sql("UPDATE workflow_data.delivery SET due_at = now() + interval '1 hour' WHERE kind = 'write_back'");
sql("DELETE FROM trouble; SELECT workflow.complete(serial_number) FROM workflow.visits WHERE instance = (SELECT split_part(sn, '_', 1)::bigint FROM numbers WHERE id = 7)");
is_soon($node, 'postgres', "SELECT state || coalesce(sn, '') FROM troubled WHERE id = 7", 'completed', 'at once when the instance moves');
is_soon($node, 'postgres', "SELECT string_agg(business_key, ' ') FROM workflow.write_backs", '8', 'and what was owed to that row has ended');

# It outlives a crash, and the history of the instance; it ends with the row, with detach and with the table.
sql("INSERT INTO trouble VALUES ('53100'); SELECT workflow.complete(serial_number) FROM workflow.visits WHERE instance = (SELECT split_part(sn, '_', 1)::bigint FROM numbers WHERE id = 8)");
is_soon($node, 'postgres', "SELECT string_agg(payload ->> 'status', ' ') FROM workflow_data.delivery WHERE kind = 'write_back'", 'completed', 'owed by an instance that has ended');
sql("UPDATE workflow_data.delivery SET due_at = now() + interval '1 hour' WHERE kind = 'write_back'");
crash($node);
start_again($node);

# It goes along into a copy, too.
my $dump = PostgreSQL::Test::Utils::tempdir() . '/owed.sql';
$node->command_ok(['pg_dump', '--no-sync', '-f', $dump, $node->connstr('postgres')], 'a dump is made');
$node->safe_psql('postgres', 'CREATE DATABASE copy');
$node->command_ok(['psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-f', $dump, $node->connstr('copy')], 'and restored');
is($node->safe_psql('copy', 'SELECT relation, business_key, error FROM workflow.write_backs'), 'troubled|8|trouble', 'the copy owes the same');
$node->safe_psql('copy', "DELETE FROM trouble; DELETE FROM workflow_data.instance_history WHERE business_key = '8'; SELECT workflow.adopt(); SELECT workflow.write_back('troubled')");
is_soon($node, 'copy', "SELECT state || coalesce(sn, '') FROM troubled WHERE id = 8", 'completed', 'and writes it once it was adopted');
sql("DELETE FROM workflow_data.instance_history WHERE business_key = '8'; DELETE FROM trouble");
is(owed(), 'troubled 8 trouble', 'it is still owed');
is(sql("SELECT workflow.write_back('troubled')"), 1, 'and tried');
is_soon($node, 'postgres', "SELECT state || coalesce(sn, '') FROM troubled WHERE id = 8", 'completed', 'it is written');
is_soon($node, 'postgres', 'SELECT count(*) FROM workflow.write_backs', 0, 'and done with');

sub owe_again
{
	my ($id, $table) = @_;
	sql("INSERT INTO trouble VALUES ('53100'); INSERT INTO $table VALUES ($id); SELECT workflow.complete(sn) FROM $table WHERE id = $id");
	is_soon($node, 'postgres', 'SELECT count(*) FROM workflow.write_backs WHERE error IS NOT NULL', 1, 'one more is owed');
	sql('DELETE FROM trouble');
}
sql("CREATE TABLE last (LIKE hidden INCLUDING ALL); CREATE TRIGGER t BEFORE UPDATE ON last FOR EACH ROW EXECUTE FUNCTION trouble(); SELECT workflow.attach('last', 'two', 'sn')");
owe_again(21, 'troubled');
sql("DELETE FROM troubled WHERE id = 21; SELECT workflow.write_back('troubled')");
is_soon($node, 'postgres', 'SELECT count(*) FROM workflow_data.delivery WHERE kind = \'write_back\'', 0, 'a row that is gone');
owe_again(22, 'troubled');
sql("SELECT workflow.detach('troubled')");
is_soon($node, 'postgres', 'SELECT count(*) FROM workflow_data.delivery WHERE kind = \'write_back\'', 0, 'a table that was detached');
owe_again(23, 'last');
sql('DROP TABLE last');
is_soon($node, 'postgres', 'SELECT count(*) FROM workflow_data.delivery WHERE kind = \'write_back\'', 0, 'one that was dropped');

# Of two instances of one key, what the younger shows counts, though the older is owed.
sql("CREATE TABLE twice (LIKE hidden INCLUDING ALL); CREATE TRIGGER t BEFORE UPDATE ON twice FOR EACH ROW EXECUTE FUNCTION trouble(); SELECT workflow.attach('twice', 'w', 'sn', status_column => 'state')");
owe_again(1, 'twice');
sql("UPDATE workflow_data.delivery SET due_at = now() + interval '1 hour' WHERE kind = 'write_back'; DELETE FROM twice; INSERT INTO twice VALUES (1); SELECT workflow.cancel(split_part(sn, '_', 1)::bigint) FROM twice");
is_soon($node, 'postgres', 'SELECT state FROM twice', 'aborted', 'what the younger shows');
is(sql("SELECT workflow.write_back('twice')"), 0, 'the older is owed nothing');

like(said('renamed', 1, 'number', 'a renamed column'), qr/WARNING:.*table "renamed": the table has no column "sn" any more/, 'a column that was renamed');
is(sql('SELECT state FROM renamed'), 'completed', 'the others are written');

# Rows that are gone are nobody's fault.
my $sn = sql('SELECT sn FROM guarded WHERE id = 3');
sql('DELETE FROM guarded WHERE id = 3');
$from = -s $node->logfile;
sql("SELECT workflow.complete('$sn')");
idle('a deleted row: done');
unlike(slurp_file($node->logfile, $from), qr/WARNING/, 'a row that was deleted');

# An instance is not erased while its first write-back is being tried, which would be owed under its key if it failed.
sql("CREATE TABLE erased (LIKE hidden INCLUDING ALL); SELECT workflow.attach('erased', 'w', 'sn', status_column => 'state'); INSERT INTO erased VALUES (1)");
my $erased = sql("SELECT split_part(sn, '_', 1) FROM erased");
my $holder = $node->background_psql('postgres');
$holder->query_safe('BEGIN; SELECT FROM erased FOR UPDATE');
sql('SELECT workflow.complete(sn) FROM erased');
is_soon($node, 'postgres', "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'workflow executor' AND wait_event_type = 'Lock'", 1, 'a write-back waits for its row');
like(($node->psql('postgres', "\\set VERBOSITY sqlstate\nSELECT workflow.erase($erased)"))[2], qr/ERROR:  55006/, 'its instance is not erased meanwhile');
$holder->query_safe('COMMIT');
$holder->quit;
is_soon($node, 'postgres', 'SELECT state FROM erased', 'completed', 'it is written');
is_soon($node, 'postgres', "SELECT count(*) FROM workflow_data.delivery WHERE kind = 'write_back' AND instance = $erased", 0, 'to the end');
is(sql("SELECT workflow.erase($erased)"), 't', 'then it is erased');

done_testing();
