#
# Write-backs that cannot be made: the log says so, whatever it is that stands in the way.
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
	is_soon($node, 'postgres', "SELECT count(*) FROM workflow.delivery WHERE kind = 'write_back'", 0, $_[0]);
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

like(said('renamed', 1, 'number', 'a renamed column'), qr/WARNING:.*attached table "renamed" has no column "sn" any more/, 'a column that was renamed');
is(sql('SELECT state FROM renamed'), 'completed', 'the others are written');

# Rows that are gone are nobody's fault.
my $sn = sql('SELECT sn FROM guarded WHERE id = 3');
sql('DELETE FROM guarded WHERE id = 3');
my $from = -s $node->logfile;
sql("SELECT workflow.complete('$sn')");
idle('a deleted row: done');
unlike(slurp_file($node->logfile, $from), qr/WARNING/, 'a row that was deleted');

done_testing();
