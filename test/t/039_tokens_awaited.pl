#
# Requests that wait for a token of OAuth 2.0: they say so; a user mapping that is altered meanwhile counts at once, however long the token
# service wants to be left alone; and owners whose token has come go on, however many others wait.
#
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use PostgreSQL::Test::Utils;
use Scene;
use Test::More;
use TokenService;
use WorkflowTest;

my $scene = Scene->new('awaited');
my $service = TokenService->start;
my $client = "auth 'oauth2', token_url '" . $service->url('/token') . "', client_id 'c', client_secret 's'";
my $waiting = "SELECT count(*) FROM workflow.visits WHERE blocked_by = 'token'";

$scene->server('api', $service->url, "timeout '10 s', max_in_flight '100'");
$scene->sql('GRANT USAGE ON FOREIGN SERVER api TO PUBLIC; GRANT USAGE ON SCHEMA workflow TO PUBLIC; GRANT EXECUTE ON FUNCTION workflow.define TO PUBLIC');

# A process of a role that has a mapping of its own; it is called like the role.
sub owner
{
	my ($role) = @_;
	$scene->sql(qq(CREATE ROLE $role; CREATE USER MAPPING FOR $role SERVER api OPTIONS ($client);
		SET ROLE $role; SELECT workflow.define('$role', '{"steps": [{"step": "call", "http": {"server": "api", "path": "/api/$role"}}]}')));
	return;
}

sub map_again
{
	my ($role, $options) = @_;
	$scene->sql("DROP USER MAPPING FOR $role SERVER api; CREATE USER MAPPING FOR $role SERVER api OPTIONS ($options)");
	return;
}

sub asked { scalar $service->requests('/token') }

# ---- it is said ----

owner($_) for qw(ann ben);
$service->set(hold => 1);
my $instance = $scene->start('ann');
is_soon($scene->node, 'postgres', "SELECT state || ' ' || blocked_by FROM workflow.visits WHERE instance = $instance", 'calling token', 'who waits for a token says so');
$service->set;
is($scene->finish($instance), 'completed', 'until it has come');
is($scene->sql($waiting), 0, 'then nobody waits');

# ---- mappings that change meanwhile ----

for (
	[ 'altered', "ALTER USER MAPPING FOR ann SERVER api OPTIONS (ADD scope 'x')" ],
	[ 'another one', "DROP USER MAPPING FOR ann SERVER api; CREATE USER MAPPING FOR ann SERVER api OPTIONS ($client, scope 'y')" ],
	[ 'of another kind', "DROP USER MAPPING FOR ann SERVER api; CREATE USER MAPPING FOR ann SERVER api OPTIONS (auth 'bearer', token 'token-7')" ])
{
	my ($name, $sql) = @$_;
	$service->set(answer => '503 x', retry_after => 3600);
	map_again('ann', $client);
	$scene->run('ann');
	my $before = asked();
	my @instances = map { $scene->start('ann') } 1 .. 3;
	is_soon($scene->node, 'postgres', $waiting, 3, 'who waits for the end of the pause says so, too');
	is(asked(), $before, 'nobody asks meanwhile');
	$service->set;
	$scene->sql($sql);
	is($scene->finish($_), 'completed', "a mapping that is $name counts at once") for @instances;
	is($scene->sql($waiting), 0, 'then nobody waits');
}

# ---- many owners ----

# More than a cursor remembers have to wait for an hour; each has a row that stands before those of ben.
$service->set(answer => '503 x', retry_after => 3600);
my @down = map { "down$_" } 1 .. 10;
owner($_) for @down;
$scene->start($_) for @down;
is_soon($scene->node, 'postgres', "SELECT count(*) FROM workflow.incidents WHERE process LIKE 'down%'", 10, 'ten owners get no token');
$scene->start($_) for @down, @down;
is_soon($scene->node, 'postgres', $waiting, 20, 'and wait');
$service->set(hold => 1);
my $before = asked();
my @of_ben = ($scene->start('ben'));
wait_until(sub { asked() > $before }, 'the token of another one is asked for');
push @of_ben, map { $scene->start('ben') } 1 .. 3;
is_soon($scene->node, 'postgres', "$waiting AND process = 'ben'", 4, 'more of his requests wait');
$service->set(answer => '503 x');
is($scene->finish($of_ben[0]), 'failed', 'it cannot be had');
$service->set;
is($scene->finish($_), 'completed', 'those that have waited have one after the pause') for @of_ben[ 1 .. 3 ];
is($scene->sql($waiting), 20, 'while the others wait');

$scene->node->stop;
done_testing();
