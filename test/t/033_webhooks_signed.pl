#
# Webhooks as they come over HTTP: signed by another program, at once, altered, before a crash, in a copy.
#
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use Digest::SHA qw(hmac_sha256_hex);
use Frontend;
use JSON::PP ();
use POSIX ();
use PostgreSQL::Test::Utils;
use Scene;
use Test::More;
use WorkflowTest;

my $SECRET = 'whsec_q7';
my $frontend = Frontend->new;
my $scene = Scene->new('webhooks_signed', conf => "workflow.callback_base = '" . $frontend->url . "'\n");
my $json = JSON::PP->new->canonical->allow_nonref;

$scene->sql("CREATE USER MAPPING FOR PUBLIC SERVER partner OPTIONS (webhook_secret '$SECRET')");
$scene->sql(slurp_file("$FindBin::Bin/../../docs/workflow_api.sql"));
$scene->sql('CREATE ROLE web_anon; GRANT USAGE ON SCHEMA workflow_api TO web_anon');
$frontend->serve($scene->node, 'postgres');

# ---- starting ----

$scene->define('order', q[{"start_on": [
	{"webhook": "hub", "signature": {"kind": "github", "server": "partner"}, "idempotency_key": {"header": "X-GitHub-Delivery"}},
	{"webhook": "plain", "data": {"all": "${$event.data}"}}],
	"steps": [{"step": "wait", "wait": true}]}]);
my %start = map { $_ => 'start/' . $scene->sql("SELECT workflow.webhook_token('order', '$_')") } qw(hub plain);
sub github { return { 'X-Hub-Signature-256' => 'sha256=' . hmac_sha256_hex($_[0], $_[2] // $SECRET), 'X-GitHub-Delivery' => $_[1] } }
sub instances { return $scene->sql("SELECT count(*) FROM workflow.instances WHERE process = 'order'") }

my $body = qq({"id":  1,\t"name": "\xc3\xa4\\u00e4", "n": 1.0e1 }\r\n);
is($frontend->post($start{hub}, $body, github($body, 'd1')), 204, 'what is signed starts an instance');
is($scene->sql("SELECT data FROM workflow.instances WHERE process = 'order'"), $scene->sql(q[SELECT '{"id": 1, "n": 10, "name": "\\u00e4\\u00e4"}'::jsonb]), 'with its data, read once the bytes were verified');
is($frontend->post($start{hub}, $body, github($body, 'd1')), 204, 'the same delivery again is accepted');
is(instances(), 1, 'and starts none');

my $signed = github($body, 'd2');
my %altered = (
	'a byte more' => "$body ", 'a byte less' => substr($body, 0, -1), 'another byte' => $body =~ s/1/2/r, 'other line ends' => $body =~ s/\r\n/\n/r,
	'JSON that means the same' => '{"id": 1, "name": "ää", "n": 10}', 'no body' => '', 'the body twice' => $body . $body, 'a byte 0 behind it' => "$body\0");
is($frontend->post($start{hub}, $altered{$_}, $signed), 403, "altered: $_") for sort keys %altered;
is($frontend->post($start{hub}, $body, { 'X-GitHub-Delivery' => 'd2' }), 403, 'without its signature');
is($frontend->post($start{hub}, $body, github($body, 'd2', 'another secret')), 403, 'by another secret');
is($frontend->post($start{hub}, $body, { 'X-Hub-Signature' => 'sha1=0', 'X-GitHub-Delivery' => 'd2' }), 403, 'of another kind');
is($frontend->post($start{plain} . 'A', $body), 400, 'a token that is none');
is($frontend->post($start{plain} =~ s/.$/($& eq 'A' ? 'E' : 'A')/er, $body), 403, 'a token that was not made here');
is($frontend->post($start{hub} =~ s/start/callback/r, $body, $signed), 400, 'a token of a webhook is none of a callback');
is($frontend->post($start{hub}, $_, github($_, 'd3')), 400, 'signed, and no JSON in UTF-8: ' . unpack('H*', $_)) for 'x=1', "\"\xff\"", "{}\0", '[1]', '7';
is(instances(), 1, 'nothing of all that started one');
is($frontend->post($start{hub}, $body, { map { lc($_) => $signed->{$_} } keys %$signed }), 204, 'names of headers in another case');
is($frontend->post($start{plain}, $_), 204, "any JSON: $_") for '[1, {"a": null}]', '7', 'null';
is($frontend->post($start{plain}, ''), 204, 'a body that is empty');
is(instances(), 6, 'six by now');

# many at once, all of one delivery
my @pids = map {
	my $pid = fork() // die;
	POSIX::_exit($frontend->post($start{hub}, '{"many": true}', github('{"many": true}', 'd4')) == 204 ? 0 : 1) if $pid == 0;
	$pid
} 1 .. 8;
my $accepted = grep { waitpid($_, 0); $? == 0 } @pids;
is($accepted, 8, 'eight at once are accepted');
is(instances(), 7, 'and start one');

# what is answered is on disk
is($frontend->post($start{hub}, '{"crash": 1}', github('{"crash": 1}', 'd5')), 204, 'accepted, and the server crashes');
$scene->node->stop('immediate');
start_again($scene->node);
is($scene->sql("SELECT count(*) FROM workflow.instances WHERE data ? 'crash'"), 1, 'the instance is there');
is($frontend->post($start{hub}, '{"crash": 1}', github('{"crash": 1}', 'd5')), 204, 'it is delivered again');
is(instances(), 8, 'and known');

# ---- callbacks ----

sub stripe
{
	my ($body, $ago) = @_;
	my $t = time() - ($ago // 0);
	return { 'Stripe-Signature' => "t=$t,v1=" . hmac_sha256_hex("$t.$body", $SECRET) };
}
$scene->define('pay', '{"steps": [{"step": "pay", "http": {"server": "partner", "path": "/say?status=202", "headers": {' . Scene::HEADERS . '}, "body": {"url": "${$callback_url}"}},
	"wait": {"callback": true, "signature": {"kind": "stripe"}}, "save": {"said": "${$result.response}"}}]}');
my $instance = $scene->start('pay');
my ($request) = $scene->wait_for_requests(1, $instance);
my ($path) = $json->decode($request->{body})->{url} =~ m{/workflow/(callback/.+)$};
$scene->wait_for_state($instance, 'waiting');
my $event = '{"id": "evt_1", "type": "charge.succeeded"}';
my $old = stripe($event, 301);
is($frontend->post($path, $event), 403, 'a callback that is not signed');
is($frontend->post($path, $event, $old), 403, 'one that was signed long ago');
is($frontend->post($path, $event, { 'Stripe-Signature' => $old->{'Stripe-Signature'} =~ s/^t=\d+/'t=' . time()/er }), 403, 'that says it was just now');
is($frontend->post($path, $event, stripe($event, -400)), 403, 'one that was signed in the future');
is($frontend->post($path, $event =~ s/succeeded/failed/r, stripe($event)), 403, 'one that says something else');
is($frontend->post($path, $event, { 'Stripe-Signature' => [ stripe($event)->{'Stripe-Signature'}, 't=1,v1=0' ] }), 403, 'one with two headers, of which the last is wrong');
is($scene->sql("SELECT count(*) FROM workflow.late_callbacks"), 0, 'nothing of that is kept');
my $right = stripe($event);
is($frontend->post($path, $event, $right), 204, 'one that is signed');
is($scene->finish($instance), 'completed', 'is the end');
is_deeply($scene->data($instance)->{said}, $json->decode($event), 'with its data');
is($frontend->post($path, $event, $right), 409, 'the same once more is late');
is($frontend->post($path, $event, $old), 403, 'and of one that is wrong nothing is said');
is($scene->sql("SELECT count(*) FROM workflow.late_callbacks"), 1, 'nor kept');

# ---- large ones, and what is written down ----

my $large = '{"large": "' . 'x' x (33 * 1024 * 1024) . '"}';
is($frontend->post($start{hub}, $large, github($large, 'd6')), 413, 'a body of 33 MB');
my $deep = '[' x 200_000;
is($frontend->post($start{hub}, $deep, github($deep, 'd7')), 413, 'one that is too deep');
is(instances(), 8, 'start none');
is(join('', grep { /\Q$SECRET\E/ && !/CREATE USER MAPPING/ } split /\n/, slurp_file($scene->node->logfile)), '', 'the secret is not in the log, but for the statement that has set it');
is($scene->sql("SELECT count(*) FROM workflow_data.webhook_start w WHERE w::text LIKE '%$SECRET%'"), 0, 'nor in a table');

# ---- in databases of other encodings ----

sub database
{
	my ($name, $encoding, $sql) = @_;
	$scene->sql("CREATE DATABASE $name TEMPLATE template0 ENCODING '$encoding' LC_COLLATE 'C' LC_CTYPE 'C'");
	$scene->node->safe_psql($name, "SET client_encoding = 'UTF8'; CREATE EXTENSION workflow; $sql");
	return;
}

my $url = $scene->url;
database('latin', 'LATIN1', qq(CREATE SERVER hub FOREIGN DATA WRAPPER workflow_http OPTIONS (url '$url', allow_private 'true');
	CREATE USER MAPPING FOR CURRENT_USER SERVER hub OPTIONS (auth 'query', name 'k\xc3\xbc', value '\xc3\xa4', webhook_secret 'h\xc3\xbcsh');
	SELECT workflow.define('order', '{"start_on": [{"webhook": "hub", "signature": {"kind": "github", "server": "hub"}}],
		"steps": [{"step": "echo", "http": {"server": "hub", "path": "/echo?a=%C3%BC"}, "save": {"path": "\${\$reply.body.query}"}}]}')));
my $latin = $scene->node->safe_psql('latin', "SELECT workflow.webhook_token('order', 'hub')");
my $hmac = hmac_sha256_hex('{}', "h\xc3\xbcsh");
is($scene->node->safe_psql('latin', qq(SELECT workflow.webhook('$latin', '{}', '{"X-Hub-Signature-256": "sha256=$hmac"}') > 0)), 't', 'a secret with other letters is the one that its sender has');
is_soon($scene->node, 'latin', q(SELECT data->'path' = '{"a": "\u00fc", "k\u00fc": "\u00e4"}'::jsonb FROM workflow.instances), 't', 'and a key in the query is as the rest of the URL');
database('ascii', 'SQL_ASCII', q(SELECT workflow.define('order', '{"start_on": [{"webhook": "any"}], "steps": [{"step": "wait", "wait": true}]}')));
my (undef, undef, $error) = $scene->node->psql('ascii', q(SELECT workflow.webhook(workflow.webhook_token('order', 'any'), '{"a": "\\\\u4e2d"}')), extra_params => [ '-v', 'VERBOSITY=sqlstate' ]);
like($error, qr/ERROR:  22P05/, 'what the database cannot hold is an error of the body');

# ---- in a restored database ----

my $archive = $scene->node->basedir . '/dump';
$scene->node->command_ok([ 'pg_dump', '-Fc', '-f', $archive, $scene->node->connstr('postgres') ], 'dumped');
$scene->sql('CREATE DATABASE restored');
$scene->node->command_ok([ 'pg_restore', '--exit-on-error', '-d', $scene->node->connstr('restored'), $archive ], 'restored');
my $there = Frontend->new->serve($scene->node, 'restored');
is($there->post($start{hub}, $body, github($body, 'd1')), 204, 'the token is good after a restore');
is($there->post($start{hub}, $body, github($body, 'd9')), 204, 'a new delivery, too');
is($scene->node->safe_psql('restored', "SELECT count(*) FROM workflow.instances WHERE process = 'order'"), 9, 'and what was delivered before is known');
$there->stop;
$frontend->stop;
$scene->node->stop;
done_testing();
