#
# Owners take turns at a server that is full or called at a rate, and so do the processes of each; what one process sends goes out in the
# order in which it became due.
#
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use Scene;
use Test::More;
use Time::HiRes qw(time);
use WorkflowTest;

my $MANY = 530; # more than two pages of a queue, and than a line has in memory
my $scene = Scene->new('turns');
my $H = '"headers": {' . Scene::HEADERS . '}';

$scene->sql("CREATE ROLE $_; GRANT USAGE ON SCHEMA workflow TO $_; GRANT EXECUTE ON FUNCTION workflow.define TO $_") for 'alice', 'bob', 'eve';

sub as { my ($role, $sql) = @_; return $scene->sql("SET ROLE $role; $sql") }

# A server for all roles, which is paused unless it is told otherwise.
sub server
{
	my ($name, $options) = @_;
	$scene->server($name, $scene->url, $options // "max_in_flight '0'");
	$scene->sql("GRANT USAGE ON FOREIGN SERVER $name TO alice, bob, eve");
}

# Processes of a role, which call /PATH/NAME.
sub define_calls
{
	my ($role, $server, $path, @names) = @_;
	as($role, qq(SELECT workflow.define('$_', '{"steps": [{"step": "call", "http": {"server": "$server", "path": "/$path/$_", $H}}]}'))) for @names;
}

sub starts { my ($name, $n) = @_; return split(/\n/, $scene->sql("SELECT workflow.start('$name') FROM generate_series(1, $n)")) }

# Which processes have called, in this order, and which instances of one.
sub callers { my ($path) = @_; return map { $_->{path} =~ m{([^/]*)$} } $scene->partner->requests("/$path/") }
sub instances_of { my ($path, $name) = @_; return map { $_->{headers}{'x-instance'} } $scene->partner->requests("/$path/$name") }

sub ascending { my @n = @_; return !grep { $n[$_] <= $n[ $_ - 1 ] } 1 .. $#n }

# After how many requests the last one of a process came.
sub last_of { my ($name, @callers) = @_; return (grep { $callers[ $_ - 1 ] eq $name } 1 .. @callers)[-1] }

sub all_done { my ($path, $n) = @_; $scene->partner->wait_for($n, "/$path/"); is_soon($scene->node, 'postgres', 'SELECT count(*) FROM workflow.visits', 0, "... all of $n"); }

# ---- a server that is full ----

server('crowded', "max_in_flight '2', timeout '1 hour'");
define_calls('alice', 'crowded', 'held', 'first', 'second');
define_calls('bob', 'crowded', 'held', 'other');
my @first = starts('first', $MANY);
$scene->partner->wait_for(2, '/held/');
my ($other) = starts('other', 1);
my ($second) = starts('second', 1);
stays(0.5, sub { scalar $scene->partner->requests('/held/') }, 2, 'a server that is full gets no more');
sub next_is
{
	my ($n, $ends, $instance, $name) = @_;
	$scene->let_go($ends);
	my @requests = $scene->partner->wait_for($n, '/held/');
	is($requests[-1]{headers}{'x-instance'}, $instance, $name);
}
next_is(3, $first[0], $other, "the next place is another owner's");
next_is(4, $first[1], $second, "... then another process's of the first one");
next_is(5, $other, $first[2], '... then his next');

# What was cancelled while it waited is not there any more, and nobody looks for it again and again.
$scene->sql("SELECT count(workflow.cancel(instance)) FROM workflow.instances WHERE process = 'first' AND instance > $first[2] AND ended_at IS NULL");
is($scene->sql("SELECT count(*) FROM workflow.visits WHERE process = 'first'"), 1, 'what waits can be cancelled');
stays(1.5, sub { scalar $scene->partner->requests('/held/') }, 5, 'and is not sent');
my $dispatcher = wait_for_workers($scene->node, 'postgres');
my $switches = switches($dispatcher);
stays(3, sub { $scene->server_row('crowded', 'in_flight, parked') }, '2|0', 'the server is full still');
cmp_ok(switches($dispatcher) - $switches, '<', 3, 'which wakes nobody');
$scene->let_go($_) for $second, $first[2];
all_done('held', 5);

# ---- turns, one by one ----

server('one');
define_calls('alice', 'one', 'ok', 'big', 'small');
define_calls('bob', 'one', 'ok', 'later');
starts('big', $MANY);
starts('small', 40);
starts('later', 40);
$scene->sql("ALTER SERVER one OPTIONS (SET max_in_flight '1')");
all_done('ok', $MANY + 80);
my @callers = callers('ok');
# two turns of each owner for two of another; of the first page of a queue nobody knows what comes behind it
is_between(last_of('later', @callers), 79, 150, 'one owner does not wait for all that another has');
is_between(last_of('small', @callers), 120, 250, 'nor one process for all of another');
is(scalar(grep { $_ eq 'big' } @callers[ 150 .. $#callers ]) > 0, 1, 'who goes on meanwhile');
ok(ascending(instances_of('ok', $_)), "what $_ sends is in order") for 'big', 'small', 'later';

# ---- one that has a request at once again, whenever the last one was answered ----

server('again');
define_calls('alice', 'again', 'a', 'crowd');
my $steps = join(', ', map { qq({"step": "s$_", "http": {"server": "again", "path": "/a/series", $H}}) } 1 .. 20);
as('bob', qq(SELECT workflow.define('series', '{"steps": [$steps]}')));
starts('series', 1);
starts('crowd', 100);
$scene->sql("ALTER SERVER again OPTIONS (SET max_in_flight '1')");
all_done('a', 120);
@callers = callers('a');
is((grep { $callers[$_] eq 'series' && $callers[ $_ + 1 ] eq 'series' } 0 .. last_of('series', @callers) - 2), 0, 'is not the first each time');
cmp_ok(last_of('series', @callers), '<=', 60, '... nor the last');

# ---- processes that are mixed in a queue that is longer than what is in memory ----

server('mixed');
my $MIXED = 800;
define_calls('alice', 'mixed', 'm', 'left', 'right');
define_calls('eve', 'mixed', 'm', 'rare');
$scene->sql(qq(SELECT workflow.start(CASE WHEN n % 100 = 0 THEN 'rare' WHEN n % 3 = 0 THEN 'left' ELSE 'right' END) FROM generate_series(1, $MIXED) n));
$scene->sql("ALTER SERVER mixed OPTIONS (SET max_in_flight '1')");
# rows that become visible amid the others, and all of them once more
$scene->partner->wait_for(300, '/m/');
starts('left', 10);
$scene->node->reload;
$scene->partner->wait_for(500, '/m/');
$scene->sql("ALTER SERVER mixed OPTIONS (ADD retry_max '1')");
all_done('m', $MIXED + 10);
ok(ascending(instances_of('m', $_)), "what $_ sends is in order") for 'left', 'right', 'rare';
is($scene->sql("SELECT count(*) FROM workflow.history WHERE attempts > 1"), 0, 'nothing was sent twice');
is(scalar $scene->partner->requests('/m/'), $MIXED + 10, '... and nothing more than once');

# ---- a server that is called at a rate ----

server('rated');
define_calls('alice', 'rated', 'r', 'bulk', 'single');
define_calls('bob', 'rated', 'r', 'guest');
starts('bulk', $MANY);
starts('guest', 3);
starts('single', 1);
my $begin = time();
$scene->sql("ALTER SERVER rated OPTIONS (SET max_in_flight '64', ADD rate '200', ADD burst '5')");
all_done('r', $MANY + 4);
@callers = callers('r');
cmp_ok(last_of('guest', @callers), '<=', 60, 'owners take turns there, too');
cmp_ok(last_of('single', @callers), '<=', 60, '... and processes');
# a busy partner may see them late, and then together
my @times = sort { $a <=> $b } map { $_->{time} } $scene->partner->requests('/r/');
is((grep { $times[$_] - $begin < ($_ + 1 - 5) / 200 - 0.01 } 0 .. $#times), 0, 'and the rate is kept');

# ---- a crash in between ----

server('crash');
define_calls('alice', 'crash', 'c', 'much');
define_calls('bob', 'crash', 'c', 'little');
starts('much', $MANY);
starts('little', 10);
$scene->sql("ALTER SERVER crash OPTIONS (SET max_in_flight '1')");
$scene->partner->wait_for(100, '/c/');
$scene->sql("SELECT pg_terminate_backend(pid) FROM workflow.workers WHERE kind = 'dispatcher'");
is_soon($scene->node, 'postgres', 'SELECT count(*) FROM workflow.visits', 0, 'another dispatcher goes on from the rows');
my %sent;
$sent{$_}++ for map { $_->{headers}{'x-instance'} } $scene->partner->requests('/c/');
is(scalar keys %sent, $MANY + 10, 'with all of them');
cmp_ok(scalar(grep { $_ > 1 } values %sent), '<=', 1, '... of which only what was under way was sent again');

$scene->node->stop;
done_testing();
