#
# pg_upgrade: nothing of ours runs meanwhile; afterwards all is there, and quiet until it is adopted, since the old cluster
# may be started again.
#
use strict;
use warnings;

use Cwd qw(cwd);
use FindBin;
use lib "$FindBin::Bin/../lib", "$FindBin::Bin/../partner";

use Partner;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use WorkflowTest;

my $old = new_server('old', extension => 0);
my $partner = Partner->start;
$old->safe_psql('postgres', 'CREATE DATABASE shop');
add_extension($old, 'shop');
add_http_server($old, $partner, database => 'shop');
$old->safe_psql(
	'shop', q[
	CREATE TABLE orders (id int PRIMARY KEY, sn text);
	SELECT workflow.define('order', '{"steps": [
		{"step": "early", "set": {"early": true}},
		{"step": "pack", "wait": true},
		{"step": "call", "http": {"server": "partner", "path": "/echo", "body": {"sn": "${$serial_number}"}}}]}');
	SELECT workflow.attach('orders', 'order', serial_column => 'sn');
	INSERT INTO orders SELECT generate_series(1, 5)]);
is_soon($old, 'shop', 'SELECT count(sn) FROM orders', 5, 'five wait');
$old->safe_psql('shop', 'SELECT workflow.complete(sn) FROM orders WHERE id = 1');
is_soon($old, 'shop', "SELECT status FROM workflow.instances WHERE business_key = '1'", 'completed', 'one has ended');
my $picture = 'SELECT serial_number, step, outcome FROM workflow.history UNION ALL SELECT serial_number, step, state FROM workflow.visits ORDER BY 1';
my $before = $old->safe_psql('shop', $picture);
my $requests = () = $partner->requests;
$old->stop;

my $new = new_server('new', extension => 0, start => 0);
my $was_in = cwd();
chdir $new->basedir; # where it leaves a script
command_ok(
	[   'pg_upgrade', '--old-datadir', $old->data_dir, '--new-datadir', $new->data_dir, '--old-bindir', $old->config_data('--bindir'),
		'--new-bindir', $new->config_data('--bindir'), '--socketdir', $new->host, '--old-port', $old->port, '--new-port', $new->port ],
	'pg_upgrade');
chdir $was_in;
$new->start;
is($new->safe_psql('shop', $picture), $before, 'all is there');
wait_until(sub { log_has($new, qr/workflow sends nothing in database "\w+": it is a copy/) }, 'it is quiet, and says so');
is($new->safe_psql('shop', 'SELECT bool_and(workflow.complete(sn)) FROM orders WHERE id = 2'), 't', 'completions are taken');
stays(1, sub { scalar(() = $partner->requests) }, $requests, 'but nothing is sent');
is($new->safe_psql('shop', 'SELECT workflow.adopt()'), 4, 'adopted');
is_soon($new, 'shop', "SELECT status FROM workflow.instances WHERE business_key = '2'", 'completed', 'it goes on');
$new->safe_psql('shop', 'INSERT INTO orders VALUES (6)');
is_soon($new, 'shop', 'SELECT count(sn) FROM orders', 4, 'and takes orders');

$new->stop;
done_testing();
