#
# Publications that send a part: some columns, some rows; and tables whose whole old rows are sent. Replicated rows start, change and end
# their instances as what comes says.
#
# mostly waits
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use WorkflowTest;

my $provider = new_server('provider', extension => 0, conf => "shared_preload_libraries = ''\nwal_level = logical\nmax_wal_senders = 8\nmax_replication_slots = 8\n");
my $node = new_server('companion', conf => "max_logical_replication_workers = 8\n");
sub sql { return $node->safe_psql('postgres', $_[0]) }
sub there { return $provider->safe_psql('postgres', $_[0]) }
sub replicate { there($_[0]); $provider->wait_for_catchup('parts'); return }
sub instances { return sql(q[SELECT string_agg(concat_ws(' ', process, business_key, status, data), ', ' ORDER BY process, business_key) FROM workflow.instances]) }

my $columns = 'id int PRIMARY KEY, amount int, note text, secret text';
there(qq[CREATE TABLE narrow ($columns); CREATE TABLE chosen ($columns); CREATE TABLE whole ($columns); CREATE TABLE keyless (id int, amount int);
	ALTER TABLE whole REPLICA IDENTITY FULL; ALTER TABLE keyless REPLICA IDENTITY FULL; ALTER TABLE chosen REPLICA IDENTITY FULL;
	CREATE PUBLICATION parts FOR TABLE narrow (id, amount), chosen WHERE (amount > 10), whole, keyless]);
sql(qq[CREATE TABLE narrow ($columns); CREATE TABLE chosen ($columns); CREATE TABLE whole ($columns); CREATE TABLE keyless (id int, amount int)]);
for my $table (qw(narrow chosen whole))
{
	sql(qq[SELECT workflow.define('$table', '{"steps": [{"step": "stand", "wait": true}]}');
		SELECT workflow.attach('$table', '$table', on_update => 'set_data', on_delete => 'cancel', replicated => true)]);
}
my ($rc, undef, $err) = $node->psql('postgres', q[\set VERBOSITY verbose
	SELECT workflow.attach('keyless', 'whole', replicated => true)]);
like($err, qr/primary key/, 'a table without a key cannot be attached, whatever identifies its rows for the replication');
sql(sprintf q[CREATE SUBSCRIPTION parts CONNECTION 'host=%s port=%s dbname=postgres' PUBLICATION parts], $provider->host, $provider->port);
is_soon($node, 'postgres', q[SELECT count(*) FILTER (WHERE srsubstate = 'r') || ' of ' || count(*) FROM pg_subscription_rel], '4 of 4', 'the subscription is ready');

# ---- some columns ----

replicate(q[INSERT INTO narrow VALUES (1, 20, 'n', 'x')]);
is(instances(), 'narrow 1 active {"id": 1, "note": null, "amount": 20, "secret": null}', 'columns that are not sent are NULL');
replicate(q[UPDATE narrow SET amount = 21, secret = 'y']);
is(instances(), 'narrow 1 active {"id": 1, "note": null, "amount": 21, "secret": null}', '... and stay so');
replicate(q[DELETE FROM narrow]);
is(sql(q[SELECT string_agg(status, ' ') FROM workflow.instances]), 'aborted', 'its end comes too');
replicate(q[INSERT INTO narrow VALUES (2)]);
($rc, undef, $err) = $provider->psql('postgres', q[ALTER PUBLICATION parts SET TABLE narrow (amount); UPDATE narrow SET amount = 1]);
like($err, qr/cannot update table "narrow"/, 'a list without the key is refused by the provider');
there(q[ALTER PUBLICATION parts SET TABLE narrow (id, amount), chosen WHERE (amount > 10), whole, keyless; DELETE FROM narrow]);

# ---- some rows ----

sub chosen { return sql(q[SELECT coalesce(string_agg(business_key || ' ' || status || ' ' || (data ->> 'amount'), ', ' ORDER BY instance), '') FROM workflow.instances WHERE process = 'chosen']) }
replicate(q[INSERT INTO chosen VALUES (1, 5), (2, 15)]);
is(chosen(), '2 active 15', 'a row that is not chosen starts nothing');
replicate(q[UPDATE chosen SET amount = 11 WHERE id = 1; UPDATE chosen SET amount = 16 WHERE id = 2]);
is(chosen(), '2 active 16, 1 active 11', 'until a change brings it in');
replicate(q[UPDATE chosen SET amount = 1 WHERE id = 2]);
is(chosen(), '2 aborted 16, 1 active 11', 'one that takes it out is its deletion');

# ---- whole old rows ----

replicate(q[INSERT INTO whole VALUES (1, 1, 'a', 'b'), (2, 2, 'a', 'b'); UPDATE whole SET note = 'c' WHERE id = 1; UPDATE whole SET id = 3 WHERE id = 2; DELETE FROM whole WHERE id = 1;
	INSERT INTO keyless VALUES (1, 1), (1, 1); DELETE FROM keyless]);
is(sql(q[SELECT string_agg(concat_ws(' ', business_key, status, data ->> 'note'), ', ' ORDER BY instance) FROM workflow.instances WHERE process = 'whole']), '1 aborted c, 3 active a',
	'tables whose whole old rows are sent are as others');
is(sql(q[SELECT count(*) FROM workflow.refused_rows]), 0, 'nothing was refused');

$node->stop;
$provider->stop;
done_testing();
