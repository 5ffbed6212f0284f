#
# The suite of docs/testing.md, with pgTAP: it passes, leaves nothing behind, and fails if the process is another one; how psql and pg_prove end then.
#
# mostly waits

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use IPC::Run ();
use Pages qw(blocks);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);
use WorkflowTest;

my $node = new_server('pgtap');
plan skip_all => 'pgTAP is not there' unless $node->safe_psql('postgres', "SELECT count(*) FROM pg_available_extensions WHERE name = 'pgtap'");

my @blocks = blocks(slurp_file("$FindBin::Bin/../../docs/testing.md"));
my ($suite) = map { $_->{text} } grep { $_->{language} eq 'pgtap' } @blocks;
my $process = $blocks[0]{text} =~ s/^CREATE EXTENSION.*\n//r;

# Lines of TAP that the suite gives.
sub run_suite
{
	my ($status, $stdout, $stderr) = $node->psql('postgres', $suite);
	is($stderr, '', 'no errors, no warnings');
	return grep { /^(not )?ok|^1\.\./ } split /\n/, $stdout;
}

# The exit status of a program that runs the suite from a file.
my $file = "$PostgreSQL::Test::Utils::tmp_check/suite.sql";
append_to_file($file, $suite);

sub ends
{
	my (@command) = @_;
	my $output;
	local @ENV{qw(PGHOST PGPORT)} = ($node->host, $node->port);
	IPC::Run::run(\@command, '<', \undef, '>&', \$output, IPC::Run::timeout($PostgreSQL::Test::Utils::timeout_default));
	note $output;
	return $? >> 8;
}

my @prove = ('pg_prove', '--dbname=postgres', $file);

$node->safe_psql('postgres', $process);
my $begin = time;
my @lines = run_suite();
my $took = time - $begin;
my ($planned) = map { /^1\.\.(\d+)/ ? $1 : () } @lines;
is(scalar(grep { /^ok/ } @lines), $planned, 'all tests pass') or diag join "\n", @lines;
is(scalar(grep { /^not ok/ } @lines), 0, '... and none fails');
cmp_ok($took, '<', 10, sprintf('two weeks take %.2f s, with pgTAP itself', $took));
is($node->safe_psql('postgres', 'SELECT count(*) FROM workflow.instances'), 0, 'nothing is left');
is($node->safe_psql('postgres', 'SELECT count(*) FROM shipment'), 0, '... in other tables, either');

is(ends(@prove), 0, 'pg_prove says that all is well');

# a process that reminds too late
$node->safe_psql('postgres', $process =~ s/^CREATE (?:SERVER|TABLE).*\n//mgr =~ s/"1 day"/"2 days"/r);
@lines = run_suite();
ok((grep { /^not ok.*reminded after a day/ } @lines), 'the suite finds that') or diag join "\n", @lines;
is(ends('psql', '-X', '-d', 'postgres', '-f', $file), 0, 'the status of psql does not tell');
isnt(ends(@prove), 0, '... that of pg_prove does');

done_testing();
