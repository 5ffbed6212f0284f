#
# How a router proves to its shards who calls, as docs/shards.md has it: each role by its own name and password, by a user mapping; and a
# shard that is there and does not answer.
#
# mostly waits
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);
use WorkflowTest;

my $shard = new_server('shard');
my $front = new_server('front', extension => 0);
plan skip_all => 'PL/Proxy is not there' if $front->safe_psql('postgres', "SELECT count(*) FROM pg_available_extensions WHERE name = 'plproxy'") eq '0';
my $superuser = getpwuid($<);

sub as
{
	my ($role, $sql) = @_;
	my (undef, $stdout, $stderr) = $front->psql('postgres', "\\set VERBOSITY verbose\nSET ROLE $role;\n$sql");
	return $stdout . $stderr;
}

# ---- at the shard ----

$shard->safe_psql('postgres', q[
	SET password_encryption = 'scram-sha-256';
	SELECT workflow.set_shard(5);
	CREATE ROLE alice LOGIN PASSWORD 'secret of alice';
	CREATE ROLE bob LOGIN PASSWORD 'secret of bob';
	GRANT USAGE ON SCHEMA workflow TO alice, bob;
	SELECT workflow.define('order', '{"steps": [{"step": "approve", "wait": true}]}');
	SELECT workflow.grant_process('order', 'alice', 'start'), workflow.grant_process('order', 'alice', 'view'), workflow.grant_process('order', 'alice', 'complete')]);
unlink $shard->data_dir . '/pg_hba.conf';
$shard->append_conf('pg_hba.conf', "local all $superuser trust\nlocal all all scram-sha-256\n");
$shard->reload;

# ---- at the router ----

$front->safe_psql('postgres', 'CREATE EXTENSION workflow_router CASCADE; CREATE ROLE alice; CREATE ROLE bob; GRANT USAGE ON SCHEMA workflow TO alice, bob');
$front->safe_psql('postgres', sprintf "SELECT workflow_router.add_shard(5, 'host=%s port=%s dbname=postgres')", $shard->host, $shard->port);
$front->safe_psql('postgres', q[CREATE USER MAPPING FOR alice SERVER workflow_shards OPTIONS (user 'alice', password 'secret of alice');
	CREATE USER MAPPING FOR bob SERVER workflow_shards OPTIONS (user 'bob', password 'of somebody else')]);
like(as('alice', q[SELECT workflow.start('order')]), qr/^\d+$/, 'a role comes to the shard by its own name and password');
my ($number) = as('alice', q[SELECT min(serial_number) FROM workflow.waiting]) =~ /^(\d+_\d+)$/;
is(as('alice', "SELECT workflow.complete('$number')"), 't', '... with its rights');
like(as('bob', q[SELECT workflow.start('order')]), qr/ERROR:  08001: .*DETAIL:  .*password authentication failed for user "bob"/s, 'another password is told, as the shard tells it');
unlike($front->safe_psql('postgres', q[SELECT string_agg(o, ' ') FROM pg_foreign_server, unnest(srvoptions) o]), qr/secret/, 'passwords are no option of the server, which everybody reads');
is(as('bob', q[SELECT count(*) FROM pg_user_mappings WHERE umoptions::text LIKE '%secret%']), '0', '... and those of others are not seen');

# ---- a shard that is frozen ----

my $pid = $shard->safe_psql('postgres', q[SELECT workflow.shard()]) && (split /\n/, slurp_file($shard->data_dir . '/postmaster.pid'))[0];
kill 'STOP', $pid;
my $begin = time();
my $said = as('alice', q[SET statement_timeout = '2s'; SELECT workflow.start('order')]);
my $took = time() - $begin;
kill 'CONT', $pid;
like($said, qr/ERROR:  57014|ERROR:  08001/, 'a server that is there and does not answer holds up a call');
cmp_ok($took, '<', 10, '... no longer than statement_timeout');
like(as('alice', q[SELECT workflow.start('order')]), qr/^\d+$/, 'then it is as before');

$front->stop;
$shard->stop;
done_testing();
