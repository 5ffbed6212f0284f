#
# Data stay within workflow.max_data, wherever they come from, and what SQL gives is bounded in bytes.
#
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib", "$FindBin::Bin/../partner";

use PostgreSQL::Test::Utils;
use Scene;
use Test::More;
use WorkflowTest;

my $scene = Scene->new('data_size', conf => "workflow.max_data = 64kB\n");
my $node = $scene->node;

sub incident_of
{
	my ($instance) = @_;
	$scene->finish($instance);
	my $error = ($scene->incident($instance) // {})->{error} // {};
	return ($error->{code} // 'none') . ': ' . ($error->{message} // '');
}

sub data_bytes { return $scene->sql("SELECT pg_column_size(data::text) FROM workflow.instances WHERE instance = $_[0]") }

my $too_large = qr/^data: the data would have \d+ bytes, more than workflow.max_data allows$/;

# ---- what a process makes of them ----

$scene->define('doubling', q[{"steps": [{"step": "a", "set": {"x": "${$.x}${$.x}"}, "next": "b"}, {"step": "b", "choose": [{"when": "$.n == 2", "next": "end"}, {"next": "a"}]}, {"step": "end", "end": true}]}]);
my $doubling = $scene->start('doubling', { x => 'x' });
like(incident_of($doubling), $too_large, 'a loop that doubles them is an incident');
cmp_ok(data_bytes($doubling), '>', 30000, '... that has come as far as it may');
cmp_ok(data_bytes($doubling), '<', 65536, '... and not further');
$scene->define('caught', q[{"steps": [{"step": "a", "set": {"x": "${$.x}${$.x}"}, "catch": [{"on": "data", "next": "end"}], "choose": [{"when": "$.n == 2", "next": "end"}, {"next": "a"}]}, {"step": "end", "end": true}]}]);
is(($scene->run('caught', { x => 'x' }))[1], 'completed', 'a handler may take it');
$scene->define('saves', q[{"steps": [{"step": "call", "http": {"server": "partner", "path": "/huge?bytes=100000"}, "save": {"text": "${$result.response}"}}]}]);
like(incident_of($scene->start('saves')), $too_large, 'so is a save');
$scene->define('saves_reply', q[{"steps": [{"step": "call", "http": {"server": "partner", "path": "/huge?bytes=100000"}, "save_reply": {"text": "${$reply.body}"}}]}]);
like(incident_of($scene->start('saves_reply')), $too_large, '... and a save_reply');
$scene->define('stand', q[{"steps": [{"step": "stand", "wait": true, "save": {"text": "${$result.response.text}"}}]}]);
my $stand = $scene->start('stand', { a => 'x' x 30000 });
$scene->sql("SELECT workflow.complete('" . $scene->serial($stand) . "', jsonb_build_object('text', repeat('x', 60000)))");
like(incident_of($stand), $too_large, '... and that of a callback');
$scene->define('sql', q[{"steps": [{"step": "sql", "sql": "SELECT repeat('x', 100000) AS text", "save": {"text": "${$reply.row.text}"}}]}]);
like(incident_of($scene->start('sql')), $too_large, '... and that of SQL');

# what a step sends has the limit of those that callers send
my $unsendable = qr/^data: "data" is too large: it has \d+ bytes; workflow.max_data allows 64 kB$/;
for my $kind (qw(message signal escalation))
{
	$scene->define("sends $kind", qq[{"steps": [{"step": "a", "send": {"$kind": "LARGE", "data": ["\${\$.x}", "\${\$.x}"]}}]}]);
	like(incident_of($scene->start("sends $kind", { x => 'x' x 40000 })), $unsendable, "... and what a step sends: $kind");
	is(incident_of($scene->start("sends $kind", { x => 'x' x 30000 })), 'none: ', '... unless it is small enough');
}

# ---- what callers give ----

my $large = "jsonb_build_object('text', repeat('x', 70000))";
like($scene->error("SELECT workflow.start('stand', $large)"), qr/^54000: the data of an instance are too large/, 'start refuses them');
my (undef, undef, $stderr) = $node->psql('postgres', "SELECT workflow.start('stand', $large)");
like($stderr, qr/DETAIL:  They would have \d+ bytes; workflow.max_data allows 64 kB.*HINT:  Keep large documents in tables/s, '... and says why, and what to do');
my $half = $scene->start('stand', { a => 'x' x 40000 });
like($scene->error("SELECT workflow.set_data($half, jsonb_build_object('b', repeat('x', 40000)))"), qr/^54000: /, 'so does set_data, for all of them together');
is($scene->sql("SELECT workflow.set_data($half, jsonb_build_object('a', repeat('y', 50000)))"), 't', 'what it replaces does not count');
$scene->sql(q[CREATE TABLE orders (id int PRIMARY KEY, note text); SELECT workflow.attach('orders', 'stand')]);
like($scene->error("INSERT INTO orders VALUES (1, repeat('x', 70000))"), qr/^54000: the data of an instance are too large/, 'a row of an attached table is too large');
is($scene->sql('SELECT count(*) FROM orders'), 0, '... and is not inserted');

# ---- a larger limit counts at once ----

$scene->sql("ALTER SYSTEM SET workflow.max_data = '1MB'");
$node->reload;
is_soon($node, 'postgres', "SELECT current_setting('workflow.max_data')", '1MB', 'a larger limit');
$scene->sql("SELECT workflow.retry(serial_number) FROM workflow.incidents WHERE process = 'sql'");
is_soon($node, 'postgres', "SELECT status FROM workflow.instances WHERE process = 'sql'", 'completed', '... lets it go on');

# ---- what SQL gives ----

$scene->define('rows', q[{"steps": [{"step": "sql", "sql": "SELECT repeat('x', (visit.data->>'bytes')::int) AS text FROM generate_series(1, 40)"}]}]);
like(incident_of($scene->start('rows', { bytes => 1000000 })), qr/^54000: the statement returns more than 32 MB$/, 'rows that are too large together');
is(incident_of($scene->start('rows', { bytes => 500000 })), 'none: ', 'half of it is not');
# what is compressed in a table is not large before it is read
$scene->sql("CREATE TABLE compressed AS SELECT repeat('x', 5000000) AS text FROM generate_series(1, 10)");
$scene->define('compressed', q[{"steps": [{"step": "sql", "sql": "SELECT text FROM compressed"}]}]);
like(incident_of($scene->start('compressed')), qr/^54000: the statement returns more than 32 MB$/, 'rows that are large when they are read');
$scene->define('json', q[{"steps": [{"step": "sql", "sql": "SELECT jsonb_agg(repeat('x', 1000000)) AS j FROM generate_series(1, 40)"}]}]);
like(incident_of($scene->start('json')), qr/^54000: the statement returns more than 32 MB$/, 'one row that is too large');

$node->stop;
done_testing();
