#
# The README's "Getting started", pasted as it stands.
#
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../partner";

use Partner;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $readme = slurp_file("$FindBin::Bin/../../README.md");
my ($chapter) = $readme =~ /^## Getting started\n(.*?)^## /ms;
my @blocks = $chapter =~ /^```sql\n(.*?)^```/msg;
is(scalar @blocks, 7, 'the blocks of SQL that are expected here');

my $node = PostgreSQL::Test::Cluster->new('readme');
$node->init;
$node->append_conf('postgresql.conf', "shared_preload_libraries = 'workflow'\n");
$node->start;
my $partner = Partner->start(psql => $node->connstr('postgres'));

# Paste one; the port is ours.
sub paste
{
	my ($name) = @_;
	my $sql = shift @blocks;
	my $port = $partner->port;
	$sql =~ s/:8099/:$port/g;
	my ($status, $stdout, $stderr) = $node->psql('postgres', $sql, on_error_stop => 1);
	is($status, 0, $name) or diag($stderr);
	return $stdout;
}

paste('wait for somebody: define and start');
ok($node->poll_query_until('postgres', 'SELECT count(*) = 1 FROM trial.to_pack'), 'the warehouse sees the parcel');
like(paste('it is waiting'), qr/^(\d+_\d+)\|1 Main Street\n\1\|pack\|callback\|/, 'under the serial number in the table');
my $after = paste('complete');
like($after, qr/^t\n\d+\|completed\|\{.*"way": "by freight".*\}$/m, 'the instance has gone on to its end');
like($after, qr/\|pack\|SUCCESS\|\{"weight": 12\}/, 'the history tells what was said');
is($node->safe_psql('postgres', "SELECT workflow.complete(sn, '{}') FROM trial.to_pack"), 'f', 'a visit ends once');

paste('call a service: define');
paste('attach and insert');
paste('look on');
ok( $node->poll_query_until('postgres', "SELECT count(*) = 2 FROM trial.orders WHERE state = 'completed' AND sn IS NULL"),
	'both orders are charged, and their rows say so');
$partner->stop;
$node->safe_psql('postgres', 'INSERT INTO trial.orders (amount) VALUES (7)');
ok($node->poll_query_until('postgres', "SELECT count(*) = 1 FROM workflow.visits WHERE state = 'retrying'"),
	'without the service it is tried again');
$partner->restart;
ok($node->poll_query_until('postgres', "SELECT count(*) = 3 FROM trial.orders WHERE state = 'completed'"),
	'until that is back');

paste('away with it all');
is($node->safe_psql('postgres', "SELECT count(*) FROM pg_namespace WHERE nspname IN ('workflow', 'workflow_data', 'trial')"), 0, 'nothing is left');

$node->stop;
done_testing();
