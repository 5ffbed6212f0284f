#
# A copy that is adopted while its dispatcher looks at it, leaves, or is only about to start is not left without one. The
# same with prepared transactions, of which many in a copy start few dispatchers.
#
# mostly waits

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib", "$FindBin::Bin/../partner";

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep time);
use WorkflowTest;

my $ROUNDS = 24;

my $node = new_server('passing', conf => "workflow.databases = 2\nmax_prepared_transactions = 10\nlog_statement = none\n");
sub sql { return $node->safe_psql('postgres', shift) }
sql(q[SELECT workflow.define('clock', '{"steps": [{"step": "clock", "wait": {"after": "1 ms"}}]}')]);
wait_for_workers($node, 'postgres');

# ---- the race ----

# Whose row it is changes now and then: a copy, and after some milliseconds none any more. What is committed last counts.
$node->safe_psql('postgres', 'CREATE DATABASE passing TEMPLATE postgres');
wait_until(sub { log_has($node, qr/it is a copy/) }, 'a copy');
$node->safe_psql('passing', 'SELECT workflow.adopt()');
is_soon($node, 'passing', "SELECT state FROM workflow.workers WHERE kind = 'dispatcher' AND database = 'passing'", 'running', 'adopted');
my $session = $node->background_psql('passing');
my ($stuck, $longest) = (0, 0);
for my $round (1 .. $ROUNDS)
{
	$session->query_safe('UPDATE workflow_data.identity SET database = 1');
	sleep($round % 12 * 0.001) if $round % 3;
	$session->query_safe('SELECT workflow.adopt()');
	my $begin = time();
	my $instance = $session->query_safe("SELECT workflow.start('clock')");
	my $end = $begin + 15;
	my $done = 0;
	until ($done or time() > $end)
	{
		$done = $session->query_safe("SELECT status = 'completed' FROM workflow.instances WHERE instance = $instance") eq 't';
		sleep 0.01 unless $done;
	}
	$longest = time() - $begin if $longest < time() - $begin;
	next if $done;
	$stuck++;
	last;
}
is($stuck, 0, "adopted $ROUNDS times amid a look or a leave, it went on each time");
cmp_ok($longest, '<', 10, sprintf('... within moments: %.2f s at most', $longest));
$session->quit;

# right after it was made, when the launcher has hardly heard of it
for my $round (1 .. 5)
{
	$node->safe_psql('postgres', "DROP DATABASE IF EXISTS passing WITH (FORCE)");
	$node->safe_psql('postgres', 'CREATE DATABASE passing TEMPLATE postgres');
	$node->safe_psql('passing', "SELECT workflow.adopt(); SELECT workflow.start('clock')");
	is_soon($node, 'passing', "SELECT count(*) FROM workflow.instances WHERE status = 'completed'", 1, "adopted as soon as it was there: $round");
}

# ---- two-phase commit ----

sql('DROP DATABASE passing WITH (FORCE)');
my $offset = -s $node->logfile;
sql('CREATE DATABASE passing TEMPLATE postgres');
wait_until(sub { log_has($node, qr/it is a copy/, $offset) }, 'another copy');
$node->safe_psql('passing', "BEGIN; SELECT workflow.adopt(); SELECT workflow.start('clock'); PREPARE TRANSACTION 'adopt'");
stays(1.2, sub { $node->safe_psql('passing', "SELECT state FROM workflow.workers WHERE kind = 'dispatcher' AND database = 'passing'") }, 'paused: a copy', 'only prepared: it is a copy');
$node->safe_psql('passing', "ROLLBACK PREPARED 'adopt'");
stays(1.2, sub { $node->safe_psql('passing', 'SELECT count(*) FROM workflow.instances') }, 0, 'rolled back: it is one');

# who commits so all the time is not held up, and starts a dispatcher a second at most, which says nothing new
$session = $node->background_psql('passing');
my $started = time();
my $commits = 0;
my %seen;
while (time() < $started + 3)
{
	$session->query_safe("BEGIN; SELECT workflow.start('clock'); PREPARE TRANSACTION 'x'");
	$session->query_safe("COMMIT PREPARED 'x'");
	$seen{$_} = 1 for grep { $_ ne '' } split /\n/, $session->query_safe("SELECT pid FROM pg_stat_activity WHERE backend_type = 'workflow dispatcher' AND datname = 'passing'");
	$commits++;
}
cmp_ok($commits, '>', 20, "$commits of them were committed");
cmp_ok(scalar(keys %seen), '<=', 5, scalar(keys %seen) . ' dispatchers looked');
is(count_in_log($node, qr/workflow sends nothing in database "passing"/, $offset), 1, 'the log says it once');
$session->query_safe("BEGIN; SELECT workflow.adopt(); PREPARE TRANSACTION 'adopt'");
$session->query_safe("COMMIT PREPARED 'adopt'");
$session->quit;
is_soon($node, 'passing', "SELECT count(*) FROM workflow.instances WHERE status = 'completed'", $commits, 'committed: it works');

$node->stop;
done_testing();
