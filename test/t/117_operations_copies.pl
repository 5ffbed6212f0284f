#
# Asynchronous calls in copies: what is pending, what is asked for, and what was not told yet is whole there, and nothing of it happens until
# the copy is adopted; then each call is carried out once and told once, for the role of the same name. And the original goes on, under
# another version of the process.
#
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib", "$FindBin::Bin/../partner";

use JSON::PP ();
use Partner;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use WorkflowTest;

my $json = JSON::PP->new;
my $partner = Partner->start;
my $node = new_server('original', extension => 0);
$node->safe_psql('postgres', 'CREATE DATABASE shop; CREATE ROLE ann; CREATE ROLE bob');
add_extension($node, 'shop');
my $url = $partner->url('/echo');

sub instance { return "(SELECT instance FROM workflow.instances WHERE business_key = '$_[0]')" }

# The end of a call as ann that is told below that path.
sub told { return "mode => 'async', callback_url => '$url/$_[0]')" }

# What came below the path so far: who sent it, about which step.
sub posts
{
	my ($path) = @_;
	return join ' ', map { $_->{headers}{authorization} . ': ' . join(',', map { $json->encode($_) } $json->decode($_->{body})->{by} // 'nobody') } $partner->requests("/echo/$path");
}

my $order = '{"steps": [{"step": "pay", "wait": true, "save": {"by": "${$result.response.by}"}}, {"step": "book", "http": {"server": "books", "path": "/ok"}}, {"step": "pack", "wait": true}%s]}';
$node->safe_psql('shop', sprintf(q[
	GRANT USAGE ON SCHEMA workflow TO ann, bob;
	CREATE SERVER back FOREIGN DATA WRAPPER workflow_http OPTIONS (url '%s', allow_private 'true', breaker 'off', max_in_flight '0');
	CREATE SERVER books FOREIGN DATA WRAPPER workflow_http OPTIONS (url '%s', allow_private 'true', breaker 'off', max_in_flight '0');
	GRANT USAGE ON FOREIGN SERVER back TO ann;
	CREATE USER MAPPING FOR ann SERVER back OPTIONS (auth 'bearer', token 'of ann');
	SELECT workflow.define('order', '%s');
	SELECT workflow.grant_process('order', 'ann', p) FROM unnest(ARRAY['start', 'complete', 'view']) p;
	SELECT workflow.start('order', business_key => key) FROM unnest(ARRAY['told', 'pending', 'asked']) key;
	], $url, $partner->url, sprintf($order, '')));
my %serial = map { $_ => $node->safe_psql('shop', 'SELECT serial_number FROM workflow.waiting WHERE instance = ' . instance($_)) } qw(told pending asked);

# one rests, and its callback cannot be sent; one has a request before it rests, which cannot be sent; and the call of one is pending,
# since somebody holds its instance
$node->safe_psql('shop', q[SET ROLE ann; SELECT workflow.set_data(instance, '{"by": "ann"}', ] . told('told') . q[ FROM workflow.instances WHERE business_key = 'told']);
my $states = q[SELECT string_agg(i.business_key || ' ' || state || ' ' || callback_state || ' ' || role, ', ' ORDER BY i.business_key) FROM workflow.operations LEFT JOIN workflow.instances i USING (instance)];
is_soon($node, 'shop', $states, 'told done sending ann', 'one that is to be told');
my $holder = $node->background_psql('shop');
$holder->query_safe('BEGIN; SELECT workflow.set_data(' . instance('pending') . q[, '{"held": true}')]);
$node->safe_psql('shop', "SET ROLE ann; SELECT workflow.complete('$serial{$_}', '{\"by\": \"$_\"}', " . told($_)) for qw(pending asked);
my $picture = 'asked done pending ann, pending pending pending ann, told done sending ann';
is_soon($node, 'shop', $states, $picture, 'one that is asked, and one that is pending');
my $dump = $node->basedir . '/dump';
$node->command_ok([ 'pg_dump', '-Fc', '-f', $dump, $node->connstr('shop') ], 'pg_dump');

# ---- a copy on another server, where bob has the number of ann ----

my $other = new_server('other', extension => 0);
$other->safe_psql('postgres', 'CREATE ROLE bob; CREATE ROLE ann; CREATE DATABASE shop');
$other->command_ok([ 'pg_restore', '--exit-on-error', '-d', $other->connstr('shop'), $dump ], 'pg_restore');
sub shop { return $other->safe_psql('shop', $_[0]) }
is(shop($states), $picture, 'the copy is whole');
is(shop("SET ROLE bob; $states"), '', '... and shows bob nothing');
is(shop("SET ROLE ann; SELECT count(*) FROM workflow.operations WHERE callback_url LIKE '$url%'"), 3, '... but ann what is hers');
shop("ALTER SERVER back OPTIONS (SET max_in_flight '10'); ALTER SERVER books OPTIONS (SET max_in_flight '10')");
stays(1.5, sub { shop($states) . ' ' . $partner->requests }, "$picture 0", 'nothing of it happens there');
shop('SELECT workflow.adopt()');
is_soon($other, 'shop', $states, 'asked done sent ann, pending done sent ann, told done sent ann', 'adopted: everything does');
is(join('; ', map { posts($_) } qw(told asked pending)), 'Bearer of ann: "ann"; Bearer of ann: "asked"; Bearer of ann: "pending"', '... for ann, once');
is(shop("SELECT string_agg(step, ' ' ORDER BY instance) FROM workflow.visits WHERE process = 'order'"), 'pay pack pack', '... where they stand');
$other->stop;

# ---- the original, whose instances come under another version meanwhile ----

is($node->safe_psql('shop', $states), $picture, 'the original did not notice');
$node->safe_psql('shop', sprintf(q[SELECT workflow.define('order', '%s')], sprintf($order, ', {"step": "send", "wait": true}')));
$holder->query_safe('COMMIT');
$holder->quit;
like($node->safe_psql('shop', "SELECT obstacle FROM workflow.migrate('order', 1, 2)"), qr/\A\S+ has a request under way, at step "book"\z/, 'under another version, but what has a request under way');
$node->safe_psql('shop', "ALTER SERVER books OPTIONS (SET max_in_flight '10')");
is_soon($node, 'shop', $states, 'asked done sending ann, pending done sending ann, told done sending ann', 'both rest there');
is($node->safe_psql('shop', "SELECT count(*) FROM workflow.migrate('order', 1, 2)"), 0, '... which is migrated then, with a callback on its way');
$node->safe_psql('shop', "ALTER SERVER back OPTIONS (SET max_in_flight '10')");
is_soon($node, 'shop', $states, 'asked done sent ann, pending done sent ann, told done sent ann', 'and are told');
is(posts($_) =~ tr/:// , 2, "$_: as often as there are originals") for qw(told asked pending);
$node->stop;
done_testing();
