#
# The main job: a row goes in, a service is called and says 202, comes back with the serial number, SQL goes on, the end.
#
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use JSON::PP ();
use Scene;
use Test::More;
use WorkflowTest;

my $scene = Scene->new('main_job');

$scene->sql(q[
	CREATE TABLE orders (id bigint PRIMARY KEY, amount numeric, state text, sn text);
	CREATE TABLE shipment (doc bigint, sn text, receipt text)]);
$scene->define('order', <<'EOD');
{
  "steps": [
    { "step": "charge",
      "http": { "server": "partner", "path": "/v1/accept/charges", "query": { "after": "${$.after}" },
                "headers": { "X-Instance": "${$instance}" },
                "body": { "amount": "${$.amount}", "sn": "${$serial_number}" } },
      "save_reply": { "charge": "${$reply.body.id}" },
      "wait": { "callback": true, "when": "$reply.status == 202" },
      "success": "$result.response.status == \"SUCCESS\"",
      "save": { "receipt": "${$result.response.receipt}" },
      "timeout": "1 hour" },
    { "step": "ship",
      "sql": "INSERT INTO shipment VALUES ((visit.data->>'id')::bigint, visit.serial_number, visit.data->>'receipt') RETURNING doc",
      "save": { "shipped": "${$reply.row.doc}" } }
  ],
  "data": { "after": "1.5" }
}
EOD
$scene->sql("SELECT workflow.attach('orders', 'order', serial_column => 'sn', status_column => 'state')");

# ---- one order, watched ----

$scene->sql('INSERT INTO orders VALUES (17, 120.50)');
my $instance = $scene->sql("SELECT instance FROM workflow.instances WHERE business_key = '17'");
my ($request) = $scene->wait_for_requests(1, $instance);
is($request->{method}, 'POST', 'a request with a body is a POST');
is($request->{path}, '/v1/accept/charges', 'its path');
my $sn = JSON::PP::decode_json($request->{body})->{sn};
like($sn, qr/^${instance}_\d+$/, 'it has the serial number');
like($request->{body}, qr/"amount":\s*120\.50\b/, 'the amount is a number with all its digits');
is($scene->sql("SELECT status FROM workflow.instances WHERE instance = $instance"), 'active', 'the instance is active');
is_soon($scene->node, 'postgres', "SELECT state, sn FROM orders WHERE id = 17", "active|$sn", 'the row shows the serial number that is waited for');
is($scene->finish($instance), 'completed', 'it ends well');
is_soon($scene->node, 'postgres', "SELECT state, sn IS NULL FROM orders WHERE id = 17", 'completed|t', 'and the row says so');

is($scene->sql('SELECT * FROM shipment'), "17|" . $scene->history($instance, 'ship')->{serial_number} . "|r-$sn",
	'the SQL step saw what the callback brought');
is_deeply(
	[ @{ $scene->data($instance) }{qw(id amount receipt charge shipped)} ],
	[ 17, 120.5, "r-$sn", 'c-1', 17 ],
	'the data have what was saved');
is($scene->path($instance), 'charge:SUCCESS ship:SUCCESS', 'the history has both steps');
my $charge = $scene->history($instance, 'charge');
is_deeply(
	$charge->{result},
	{   status => 'SUCCESS',
		initial_response => { id => 'c-1', accepted => JSON::PP::true },
		callback_response => { status => 'SUCCESS', receipt => "r-$sn" },
		response => { status => 'SUCCESS', receipt => "r-$sn" },
		cancel_response => undef,
		error => undef },
	'with the whole result');
is($charge->{attempts}, 1, 'one attempt');
is(scalar($scene->requests($instance)), 1, 'one request');
is_deeply([ map { $_->{answer} } $scene->partner->callbacks ], ['t'], 'the callback was accepted');

# ---- many at once ----

$scene->sql(q[UPDATE orders SET amount = 0; INSERT INTO orders SELECT n, n FROM generate_series(101, 300) n]);
is_soon($scene->node, 'postgres', "SELECT count(*) FROM orders WHERE id > 100 AND state = 'completed' AND sn IS NULL", 200,
	'two hundred rows in one INSERT');
is($scene->sql('SELECT count(*), count(DISTINCT doc), count(DISTINCT sn), count(DISTINCT receipt) FROM shipment'), '201|201|201|201',
	'each is shipped once');
is($scene->sql('SELECT count(*) FROM workflow.visits'), 0, 'no visit is left');
ok($scene->partner->stats->{connections} <= 66, 'through no more connections than requests at once, which are kept');

# ---- a rollback takes everything back ----

my $before = $scene->partner->requests;
$scene->sql(q[BEGIN; INSERT INTO orders VALUES (1000, 1); ROLLBACK;
	BEGIN; SAVEPOINT s; INSERT INTO orders VALUES (1001, 1); ROLLBACK TO s; COMMIT]);
is($scene->sql("SELECT count(*) FROM workflow.instances WHERE business_key IN ('1000', '1001')"), 0, 'an INSERT that was rolled back starts nothing');

# ---- how soon ----

$scene->define('two calls', <<'EOD');
{ "steps": [
    { "step": "one", "http": { "server": "partner", "path": "/ok", "headers": { "X-Instance": "${$instance}" }, "body": 1 }, "wait": true },
    { "step": "two", "http": { "server": "partner", "path": "/ok", "headers": { "X-Instance": "${$instance}" }, "body": 2 } } ] }
EOD
my (@started, @went_on);
for (1 .. 15)
{
	my ($time, $i) = split /\n/, $scene->sql("SELECT extract(epoch FROM clock_timestamp()); SELECT workflow.start('two calls')");
	my ($first) = $scene->wait_for_requests(1, $i);
	push @started, $first->{time} - $time;
	$scene->wait_for_state($i, 'waiting');
	($time) = split /\n/,
	  $scene->sql("SELECT extract(epoch FROM clock_timestamp()); SELECT workflow.complete(serial_number) FROM workflow.visits WHERE instance = $i");
	my (undef, $second) = $scene->wait_for_requests(2, $i);
	push @went_on, $second->{time} - $time;
	$scene->finish($i);
}
note(sprintf 'call of start() until the request is there: median %.1f ms; of complete() until the next one is: %.1f ms',
	1000 * median(@started), 1000 * median(@went_on));
is_between(median(@started), 0, 0.1, 'a request leaves at once after start()');
is_between(median(@went_on), 0, 0.1, 'and after complete()');
is(scalar($scene->partner->requests), $before + 30, 'no request came of what was rolled back');

$scene->node->stop;
done_testing();
