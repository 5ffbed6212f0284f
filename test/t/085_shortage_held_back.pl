#
# While a reply cannot be stored no new requests go out: their replies might be lost. But one in a minute, to see: if it is only that
# one reply that cannot be stored, all goes on.
#
# mostly waits

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use Scene;
use Test::More;
use Time::HiRes qw(sleep time);
use WorkflowTest;

my $scene = Scene->new('held_back');
my $node = $scene->node;
my $H = '"headers": {' . Scene::HEADERS . '}';

$scene->sql(q[CREATE TABLE trouble (instance bigint);
	CREATE FUNCTION trouble() RETURNS trigger LANGUAGE plpgsql AS $$
	BEGIN
		IF EXISTS (SELECT FROM public.trouble t WHERE t.instance = OLD.instance) THEN RAISE EXCEPTION 'no room' USING ERRCODE = '53100'; END IF;
		RETURN CASE TG_OP WHEN 'DELETE' THEN OLD ELSE NEW END;
	END $$;
	CREATE TRIGGER trouble BEFORE UPDATE OR DELETE ON workflow_data.visit FOR EACH ROW EXECUTE FUNCTION trouble()]);
$scene->server('paused', $scene->url, "max_in_flight '0'");
$scene->define('parked', qq({"steps": [{"step": "call", "http": {"server": "paused", "path": "/ok", $H}}]}));
$scene->define('call', qq({"data": {"path": "delay"}, "steps": [{"step": "call", "http": {"server": "partner", "path": "/\${\$.path}", "query": {"s": "3"}, $H},
	"retry": {"max": 1}, "catch": [{"on": "*", "next": "failed"}]}, {"step": "ship", "wait": true, "end": true}, {"step": "failed", "wait": true}]}));

# Sends a request whose reply cannot be stored.
sub poison
{
	my $instance = $scene->start('call', { path => 'held' });
	$scene->wait_for_requests(1, $instance);
	$scene->sql("INSERT INTO trouble VALUES ($instance)");
	$scene->let_go($instance);
	is_soon($node, 'postgres', "SELECT blocked_by FROM workflow.visits WHERE instance = $instance", 'disk', 'a reply cannot be stored');
	return $instance;
}

sub ships { my ($instance, $name) = @_; is_soon($node, 'postgres', "SELECT step FROM workflow.visits WHERE instance = $instance", 'ship', $name) }

# a server that takes none comes first
$scene->sql("SELECT workflow.start('parked') FROM generate_series(1, 3)");
is_soon($node, 'postgres', "SELECT parked FROM workflow.servers WHERE server = 'paused'", 3, 'some wait for a server that is paused');
my $poison = poison();
my $begin = time();
my @others = map { $scene->start('call') } 1 .. 4;
my $sent = sub { scalar(map { $scene->requests($_) } @others) };
stays(50, $sent, 0, 'no request goes out');
wait_until($sent, 'then one does');
is_between(time() - $begin, 55, 100, sprintf('... after a minute (%.1f s)', time() - $begin));
stays(2, $sent, 1, '... and one alone');
ships($_, 'once its reply is stored all go on') for @others;
is($scene->sql("SELECT blocked_by FROM workflow.visits WHERE instance = $poison"), 'disk', '... but the one');

# the next time it begins anew
my $second = poison();
push @others, my $late = $scene->start('call');
stays(3, sub { scalar($scene->requests($late)) }, 0, 'another one holds them back again, from its beginning on');
$scene->sql('DELETE FROM trouble');
ships($_, 'in the end all are stored') for $poison, $second, $late;
is(scalar($scene->requests($_)), 1, '... with one request') for $poison, $second, @others;
is($scene->sql('SELECT count(*) FROM workflow.attempts'), 0, 'no attempt has failed');
$node->stop;
done_testing();
