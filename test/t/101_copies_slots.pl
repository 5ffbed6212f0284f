#
# Copies take up none of the places of workflow.databases: whatever is created after them works, they are remembered as what they
# are, and get workers as soon as they are adopted, if there is room.
#
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib", "$FindBin::Bin/../partner";

use Partner;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use WorkflowTest;

my $node = new_server('slots', extension => 0, conf => "workflow.databases = 2\n");
my $partner = Partner->start;
my @copies = map {"copy$_"} 1 .. 3;

sub set_up
{
	my ($database) = @_;
	$node->safe_psql('postgres', "CREATE DATABASE $database");
	add_extension($node, $database);
	add_http_server($node, $partner, database => $database);
	$node->safe_psql(
		$database, q[
		CREATE TABLE effect (value text);
		SELECT workflow.define('note', '{"steps": [
			{"step": "stand", "wait": true},
			{"step": "note", "sql": "INSERT INTO effect VALUES (current_database())"}]}');
		SELECT workflow.define('clock', '{"steps": [{"step": "clock", "wait": {"after": "10 ms"}}]}');
		SELECT workflow.define('slow', '{"steps": [
			{"step": "slow", "http": {"server": "partner", "path": "/echo", "query": {"s": "2"}}}]}');
		SELECT workflow.start('note')]);
}

sub complete
{
	my ($database) = @_;
	return $node->safe_psql($database, "SELECT workflow.complete(serial_number) FROM workflow.waiting WHERE process = 'note' ORDER BY serial_number LIMIT 1");
}

sub works
{
	my ($database, $name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my $before = $node->safe_psql($database, 'SELECT count(*) FROM effect');
	$node->safe_psql($database, "SELECT workflow.start('note')");
	is(complete($database), 't', "$database: complete()");
	is_soon($node, $database, "SELECT count(*) > $before FROM effect", 't', "$database $name");
}

my $served = "SELECT coalesce(string_agg(datname, ' ' ORDER BY datname), '') FROM pg_stat_activity WHERE backend_type = 'workflow dispatcher'";
sub warnings_of { return count_in_log($node, qr/WARNING:  workflow sends nothing in database "$_[0]": it is a copy/) }

# ---- three copies, and one that is real ----

set_up('original');
works('original', 'works');
$node->safe_psql('postgres', "CREATE DATABASE $_ TEMPLATE original") for @copies;
wait_until(sub { warnings_of($_) == 1 }, "$_ is found to be a copy") for @copies;
set_up('real');
works($_, 'works') for qw(real original);
is($node->safe_psql('postgres', $served), 'original real', 'copies have no dispatchers');
ok(!log_has($node, qr/too many databases/), 'and nobody found too little room');
is($node->safe_psql('copy1', "SELECT state FROM workflow.workers WHERE kind = 'dispatcher' AND database = 'copy1'"), 'paused: a copy', 'who asks in a copy is told');
is($node->safe_psql('real', "SELECT string_agg(database, ' ' ORDER BY database) FROM workflow.workers WHERE state = 'paused: a copy' AND pid IS NULL"),
	'copy1 copy2 copy3', 'who monitors is told everywhere');
$node->safe_psql('copy1', 'CREATE ROLE clerk; GRANT USAGE ON SCHEMA workflow TO clerk; GRANT SELECT ON workflow.workers TO clerk; GRANT EXECUTE ON FUNCTION workflow_data.workers TO clerk');
is($node->safe_psql('copy1', "SET ROLE clerk; SELECT string_agg(database, ' ') FROM workflow.workers WHERE kind = 'dispatcher'"), 'copy1', 'others of their own database');

# ---- clients in a copy ----

is(complete('copy1'), 't', 'complete() in a copy');
$node->safe_psql('copy1', "SELECT workflow.start('clock')");
$node->safe_psql('copy1', "CREATE SERVER another FOREIGN DATA WRAPPER workflow_http OPTIONS (url 'http://localhost:1')");
stays(1, sub { $node->safe_psql('copy1', "SELECT (SELECT count(*) FROM effect), count(*) FROM workflow.instances WHERE status = 'completed'") . $node->safe_psql('postgres', $served) },
	'1|1original real', '... starts nothing');

# ---- adopted where there is no room, and where there is ----

my $offset = -s $node->logfile;
$node->safe_psql('copy1', 'SELECT workflow.adopt()');
wait_until(sub { log_has($node, qr/workflow does nothing in database "copy1": too many databases/, $offset) }, 'adopted, a copy finds no room, and the log says so');
is($node->safe_psql('copy1', "SELECT string_agg(state, ' ') FROM workflow.workers WHERE kind = 'dispatcher' AND database = 'copy1'"), 'no place: see workflow.databases', 'it is a copy no more');
works($_, 'goes on') for qw(real original);
$node->safe_psql('postgres', 'DROP DATABASE real');
works('copy1', 'works when there is room again');
is($node->safe_psql('copy1', "SELECT count(*) FROM workflow.instances WHERE process = 'clock' AND status = 'completed'"), 1, 'its clock has gone off');
$node->safe_psql('postgres', 'DROP DATABASE original');
$node->safe_psql('copy2', 'SELECT workflow.adopt()');
works('copy2', 'adopted where there is room, works');
is($node->safe_psql('postgres', $served), 'copy1 copy2', 'there are two of them');

# ---- adopt() and definitions disturb nobody who runs ----

my $dispatcher = wait_for_workers($node, 'copy2');
$node->safe_psql('copy2', "SELECT workflow.adopt(); UPDATE workflow_data.identity SET database = database; SELECT workflow.define('another', '{\"steps\": [{\"step\": \"stand\", \"wait\": true}]}')");
works('copy2', 'goes on');
is(wait_for_workers($node, 'copy2'), $dispatcher, 'under the same dispatcher');

# ---- one that runs turns out to be a copy: what it has sent is stored, then others get its place ----

$offset = -s $node->logfile;
$node->safe_psql('copy3', 'SELECT workflow.adopt()');
wait_until(sub { log_has($node, qr/"copy3": too many databases/, $offset) }, 'copy3 is no copy, and waits for room');
my $slow = $node->safe_psql('copy2', "SELECT workflow.start('slow')");
$partner->wait_for(1, '/echo');
$node->safe_psql('copy2', 'UPDATE workflow_data.identity SET database = 1');
is_soon($node, 'copy2', "SELECT state FROM workflow.workers WHERE kind = 'dispatcher' AND database = 'copy2'", 'paused: a copy', 'copy2 is one again');
works('copy3', 'gets its place');
is($node->safe_psql('copy2', "SELECT status FROM workflow.instances WHERE instance = $slow"), 'completed', 'which it gave up when its request had been answered');
is(warnings_of('copy2'), 2, 'the log says again that it is one');
is($node->safe_psql('postgres', $served), 'copy1 copy3', 'there are two');
$node->safe_psql('postgres', 'DROP DATABASE copy3');
$node->safe_psql('copy2', 'UPDATE workflow_data.identity SET database = (SELECT oid FROM pg_database WHERE datname = current_database())');
works('copy2', 'works when its identity was mended by hand');

# ---- the next start ----

$node->safe_psql('postgres', 'DROP DATABASE copy1');
$node->safe_psql('postgres', "CREATE DATABASE $_ TEMPLATE copy2") for qw(new1 new2 new3);
wait_until(sub { warnings_of($_) == 1 }, "$_ is a copy") for qw(new1 new2 new3);
$node->restart;
works('copy2', 'works after a restart');
wait_until(sub { warnings_of($_) == 2 }, "of $_ the log says it once more") for qw(new1 new2 new3);
is($node->safe_psql('postgres', $served), 'copy2', 'they have no dispatchers');

# a launcher that begins afresh looks at all of them, and the log has heard it
my $launcher = $node->safe_psql('copy2', "SELECT pid FROM workflow.workers WHERE kind = 'launcher'");
$offset = -s $node->logfile;
$node->safe_psql('postgres', "SELECT pg_terminate_backend($launcher)");
is_soon($node, 'copy2', "SELECT count(*) FROM workflow.workers WHERE kind = 'launcher' AND pid <> $launcher", 1, 'another launcher');
$node->safe_psql('new1', 'SELECT workflow.adopt()');
works('new1', 'adopted, works');
is(warnings_of($_), 2, "no more is said of $_") for qw(new1 new2 new3);
$node->safe_psql('postgres', 'DROP DATABASE new2');
is_soon($node, 'copy2', "SELECT string_agg(database, ' ') FROM workflow.workers WHERE state = 'paused: a copy'", 'new3', 'one that was dropped is forgotten');
ok(!log_has($node, qr/PANIC|FATAL:  (?!terminating)|terminated by signal/), 'nothing unusual in the log');

$node->stop;
done_testing();
