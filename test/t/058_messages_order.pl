#
# Whoever sends and whoever opens or closes the wait, in whichever order they begin, act and commit: each message that is kept for a while
# is delivered once, or still kept; each that is not is what its sender was told; a signal reaches those that wait when it is taken up.
# In transactions of any level, ended in one phase or two, rolled back; with a dispatcher that is at work, that is through before the next
# commit, that only looks after a crash; prepared before a crash, and committed after it.
#
# takes long

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Session;
use Test::More;
use Time::HiRes qw(sleep time);
use WorkflowTest;

my $PATIENCE = 60;
my $MOST_SHOWN = 10;
my $node = new_server('order', conf => "wal_writer_delay = 10s\nmax_prepared_transactions = 2000\nworkflow.careful_after_crash = 0\n");
my %session = map { $_ => Session->new($node, 'postgres') } qw(sender opener looker);

# What must succeed.
sub run
{
	my ($who, @sql) = @_;
	my ($status, $out, $err) = $session{$who}->run(@sql);
	die "$err in @sql\n" if $status;
	return $out =~ s/\n\z//r;
}

sub sql { return run('looker', @_) }

# ---- what opens a wait, and what closes one ----

# Each counts what it has heard. before: it is there already, and its callback opens the wait; or, as a closer, is what ends it.
my $REST = '{"step": "rest", "wait": true}, {"step": "beside", "end": true}';
my %opener = (
	start => { steps => '{"step": "wait", "wait": EVENT, SAVE, "next": "rest"}' },
	async => { steps => '{"step": "wait", "async": true, "wait": EVENT, SAVE, "next": "rest"}' },
	complete => { steps => '{"step": "before", "wait": true}, {"step": "wait", "wait": EVENT, SAVE, "next": "rest"}', before => 1 },
	first => { steps => '{"step": "wait", "first_of": [{"callback": true, "next": "rest"}, {"after": "1 h", "next": "rest"}, {ENTRY, SAVE, "next": "rest"}]}' },
	handler => { steps => '{"step": "wait", "wait": {"after": "1 h"}, "catch": [{ENTRY, "interrupt": false, SAVE, "next": "beside"}], "next": "rest"}' },
	instead => { steps => '{"step": "wait", "wait": {"after": "1 h"}, "catch": [{ENTRY, SAVE, "next": "rest"}], "next": "rest"}' },
	scope => { steps => '{"step": "scope", "steps": [{"step": "inside", "wait": {"after": "1 h"}}], "catch": [{ENTRY, "interrupt": false, SAVE, "next": "beside"}], "next": "rest"}' },
	join => { before => 1, steps => '{"step": "fork", "next": ["one", "other"]}, {"step": "one", "next": "wait"}, {"step": "other", "wait": true, "next": "wait"},
		{"step": "wait", "join": "all", "wait": EVENT, SAVE, "next": "rest"}' },
	closer => { before => 1, closes => 1, steps => '{"step": "wait", "first_of": [{"callback": true, "next": "rest"}, {ENTRY, SAVE, "next": "rest"}]}' });

sub definition
{
	my ($kind, $entry) = @_;
	my $steps = $opener{$kind}{steps};
	$steps =~ s/EVENT/{ENTRY}/;
	$steps =~ s/ENTRY/$entry/;
	$steps =~ s/SAVE/"save": {"heard": "\${\$.heard + 1}"}/;
	return qq[{"data": {"heard": 0}, "steps": [$steps, $REST]}];
}

# ---- what is sent ----

# queues: it is brought by a worker in any case; told: a step saves what is answered.
my %sender = (
	message => { sql => "workflow.send_message('m', 'KEY')" },
	all     => { sql => "workflow.send_message('m', 'KEY', to_all => true)", queues => 1 },
	kept    => { sql => "workflow.send_message('m', 'KEY', ttl => '1 h')", is_kept => 1 },
	known   => { sql => "workflow.send_message('m', 'KEY', ttl => '1 h', message_id => 'KEY')", is_kept => 1 },
	step    => { sql => q[workflow.start('step', '{"key": KEY}')], queues => 1, told => 1 },
	steady  => { sql => q[workflow.start('steady', '{"key": KEY}')], queues => 1, is_kept => 1, told => 1 },
	signal  => { sql => "workflow.send_signal('s KEY')", is_signal => 1 });

for my $kind (sort keys %opener)
{
	sql("SELECT workflow.define('$kind', \$\$" . definition($kind, '"message": "m", "key": "${$.key}"') . '$$)');
	sql("CREATE FUNCTION define_$kind(key text) RETURNS integer LANGUAGE sql AS \$f\$SELECT workflow.define('$kind ' || key, replace(\$\$"
		  . definition($kind, '"signal": "s KEY"') . q[$$, 'KEY', key)::json)$f$]);
}
for my $sending ([ 'step', '' ], [ 'steady', ', "ttl": "1 h"' ])
{
	my ($name, $more) = @$sending;
	sql(qq[SELECT workflow.define('$name', \$\${"steps": [{"step": "send", "send": {"message": "m", "key": "\${\$.key}"$more}, "save_reply": {"told": "\${\$reply}"}}]}\$\$)]);
}

# ---- the cases ----

my @POINTS = qw(begin act end);
my @ENDS = ([ 'commit', 'commit' ], [ 'commit', 'rollback' ], [ 'rollback', 'commit' ]);
my @LEVELS = ('READ COMMITTED', 'REPEATABLE READ', 'SERIALIZABLE');
my $key = 0;

# Lists of who is next.
sub orders
{
	my ($of_sender, $of_opener) = @_;
	return [ ('opener') x $of_opener ] unless $of_sender;
	return [ ('sender') x $of_sender ] unless $of_opener;
	return ((map { [ 'sender', @$_ ] } orders($of_sender - 1, $of_opener)), map { [ 'opener', @$_ ] } orders($of_sender, $of_opener - 1));
}

# Those in which each begins just before it acts.
sub orders_of_acts
{
	my %had;
	return grep { !$had{"@$_"}++ } map {
		my %n;
		[ map { $n{$_}++ ? $_ : ($_, $_) } @$_ ]
	} orders(2, 2);
}

sub case_of
{
	my ($opener, $sender, $ends, $order, @levels) = @_;
	return { key => ++$key, opener => $opener, sender => $sender, order => $order, clock => 0, at => {}, failed => {},
		end => { sender => $ends->[0], opener => $ends->[1] },
		level => { map { $_ => $levels[ rand @levels ] } qw(sender opener) },
		prepares => { map { $_ => rand() < 0.2 } qw(sender opener) } };
}

sub cases
{
	my ($orders, @levels) = @_;
	my @cases;
	for my $opener (sort keys %opener)
	{
		for my $sender (sort keys %sender)
		{
			for my $ends (@ENDS) { push @cases, map { case_of($opener, $sender, $ends, $_, @levels) } @$orders }
		}
	}
	make_ready(@cases);
	return @cases;
}

sub process_of { my ($case) = @_; return $sender{ $case->{sender} }{is_signal} ? "$case->{opener} $case->{key}" : $case->{opener} }
sub start_of { my ($case) = @_; return "workflow.start('" . process_of($case) . qq[', '{"key": $case->{key}}')] }

# What has to be there before: processes that wait for the signal of one case alone; instances of which the callback is the act.
sub make_ready
{
	my (@cases) = @_;
	my @defined = grep { $sender{ $_->{sender} }{is_signal} } @cases;
	sql('SET client_min_messages = warning', map { "SELECT define_$_->{opener}('$_->{key}')" } @defined);
	my %there = map { $_->{key} => $_ } grep { $opener{ $_->{opener} }{before} } @cases;
	sql(map { 'SELECT ' . start_of($there{$_}) } sort { $a <=> $b } keys %there);
	for (split /\n/, sql("SELECT data ->> 'key', serial_number FROM workflow.waiting w JOIN workflow.instances USING (instance) WHERE waits_for LIKE 'callback%' AND step IN ('before', 'other', 'wait')"))
	{
		my ($its, $sn) = split /\|/;
		$there{$its}{sn} = $sn if $there{$its};
	}
}

# ---- playing one ----

sub act_of
{
	my ($case, $who) = @_;
	return 'SELECT ' . $sender{ $case->{sender} }{sql} =~ s/KEY/$case->{key}/gr if $who eq 'sender';
	return 'SELECT ' . ($case->{sn} ? "workflow.complete('$case->{sn}')" : start_of($case));
}

# The callback that would end the wait waits for the sender that has ended it already.
sub is_blocked
{
	my ($case, $who) = @_;
	return $who eq 'opener' && $opener{ $case->{opener} }{closes} && ($case->{told}{sender} // '') eq 'delivered' && !$case->{at}{sender}{end};
}

sub heard
{
	my ($case, $who, $status, $out, $err) = @_;
	chomp $out;
	$case->{told}{$who} = $out;
	return unless $status;
	die "$case->{key}, $who: $err" if $err !~ /could not serialize/ || $case->{level}{$who} eq 'READ COMMITTED';
	$case->{failed}{$who} = 1;
}

sub end_of
{
	my ($case, $who) = @_;
	my $end = $case->{failed}{$who} ? 'rollback' : $case->{end}{$who};
	return uc $end unless $case->{prepares}{$who} && !$case->{failed}{$who};
	return ("PREPARE TRANSACTION '$who $case->{key}'", uc($end) . " PREPARED '$who $case->{key}'");
}

sub run_in
{
	my ($case, $who, @sql) = @_;
	heard($case, $who, $session{$who}->run(@sql));
}

sub go_on
{
	my ($case, $who, $point) = @_;
	my $session = $session{$who};
	$case->{at}{$who}{$point} = ++$case->{clock};
	if ($point eq 'begin')
	{
		run_in($case, $who, "BEGIN ISOLATION LEVEL $case->{level}{$who}");
		run_in($case, $who, 'SELECT count(*) FROM workflow.subscriptions WHERE instance = 0') if $case->{level}{$who} ne 'READ COMMITTED';
	}
	elsif ($point eq 'act')
	{
		$case->{blocked} = is_blocked($case, $who);
		if ($case->{blocked}) { $session->tell(act_of($case, $who)) }
		else                  { run_in($case, $who, act_of($case, $who)) }
	}
	else
	{
		for my $statement (end_of($case, $who))
		{
			my ($status, undef, $err) = $session->run($statement);
			next unless $status;
			die "$case->{key}, $who: $err" if $err !~ /could not serialize/;
			$case->{failed}{$who} = 1;
			last;
		}
		heard($case, 'opener', $session{opener}->hear) if $who eq 'sender' && delete $case->{blocked};
	}
}

# Who waits for the other's end can end after it only.
sub play
{
	my ($case, $between) = @_;
	my %next;
	my @order = @{ $case->{order} };
	while (my $who = shift @order)
	{
		my $point = $POINTS[ $next{$who}++ ];
		if ($point eq 'end' && $who eq 'opener' && $case->{blocked})
		{
			$next{opener}--;
			@order = ('sender', 'opener');
			next;
		}
		go_on($case, $who, $point);
		$between->($case) if $between && $point eq 'end';
	}
}

# ---- what should have become of it ----

# All that may be: how often it was heard, whether it is still kept, what the closer was answered. The dispatcher was at "work", or "through"
# before each commit, or came "late", when all had committed.
sub outcomes
{
	my ($case, $mode) = @_;
	my ($sender, $opener) = ($sender{ $case->{sender} }, $opener{ $case->{opener} });
	my ($sends, $opens) = map { $case->{end}{$_} eq 'commit' && !$case->{failed}{$_} } qw(sender opener);
	my $at = $case->{at};
	# what is brought by workers, for who comes after the commit of its sender
	my $race = sub { my ($if_taken_up, $if_not) = @_; return $mode eq 'through' ? $if_taken_up : $mode eq 'late' ? $if_not : ($if_taken_up, $if_not) };
	if ($opener->{closes})
	{
		my $called = 'heard 0, kept ' . ($sends && $sender->{is_kept} ? 1 : 0) . ', true';
		return 'heard ' . ($sends ? 1 : 0) . ', kept 0' unless $opens;
		return $called unless $sends;
		my $reached = 'heard 1, kept 0, false';
		return $reached if $case->{told}{sender} eq 'delivered';
		return $called if $at->{opener}{act} < $at->{sender}{end};
		return $called if $case->{told}{sender} =~ /kept|missed/;
		return $race->($reached, $called);
	}
	return 'heard 0, kept 0' unless $sends;
	return 'heard 0, kept ' . ($sender->{is_kept} ? 1 : 0) unless $opens;
	return $at->{opener}{end} < $at->{sender}{end} ? 'heard 1, kept 0' : $race->('heard 0, kept 0', 'heard 1, kept 0') if $sender->{is_signal};
	return 'heard 1, kept 0' if $sender->{is_kept} || $at->{opener}{end} < $at->{sender}{act};
	return 'heard 0, kept 0';
}

# What the sender is told; of a step what it has saved.
sub answers
{
	my ($case, $mode) = @_;
	my ($sender, $at) = ($sender{ $case->{sender} }, $case->{at});
	my $closes = $opener{ $case->{opener} }{closes};
	my $ends = $case->{end}{opener} eq 'commit' && !$case->{failed}{opener};
	return '' if $sender->{is_signal};
	my $waits = $ends && $at->{opener}{end} < $at->{sender}{act};
	$waits = !$waits if $closes;
	return $sender->{is_kept} ? 'kept' : 'missed' unless $waits;
	my $is_busy = $closes && $at->{opener}{act} < $at->{sender}{act} && $at->{sender}{act} < $at->{opener}{end};
	return 'queued' if $sender->{queues} || $is_busy;
	# an executor may just have it in hand
	return $case->{level}{sender} eq 'SERIALIZABLE' || ($case->{opener} eq 'async' && $mode eq 'work') ? 'delivered or queued' : 'delivered';
}

# ---- what has become of it ----

# Until nothing is on its way any more, of one case or of all.
sub is_through
{
	my ($case) = @_;
	my $end = time() + $PATIENCE;
	my @on_its_way = 'SELECT FROM workflow_data.broadcast';
	# what is for an instance that is locked comes later
	push @on_its_way, "SELECT FROM workflow_data.delivery WHERE kind = 'event'", "SELECT FROM workflow_data.visit WHERE due_at IS NOT NULL AND queue LIKE 'executor%'",
	  'SELECT FROM workflow_data.message m JOIN workflow_data.subscription s USING (name, key) WHERE m.delivered_at IS NULL' . ($case ? " AND m.key = '$case->{key}'" : '')
	  unless $case && $case->{at}{opener}{act} && !$case->{at}{opener}{end};
	my $on_its_way = 'SELECT count(*) FROM (' . join(' UNION ALL ', @on_its_way) . ') s';
	until (sql($on_its_way) == 0)
	{
		die "something does not come through\n" if time() > $end;
		sleep 0.001;
	}
}

sub became
{
	my (@cases) = @_;
	my %became = map { $_->{key} => { heard => 0, kept => 0 } } @cases;
	for (split /\n/, sql("SELECT data ->> 'key', data ->> 'heard', coalesce(data ->> 'told', '') FROM workflow.instances"))
	{
		my ($its, $heard, $told) = split /\|/, $_, 3;
		my $one = $became{$its} or next;
		if ($heard eq '') { $one->{told} = $told }
		else              { $one->{heard} = $heard }
	}
	$became{$_}{kept}++ for grep { $became{$_} } split /\n/, sql('SELECT key FROM workflow.messages');
	return \%became;
}

sub text_of
{
	my ($case) = @_;
	return "$case->{key}: $case->{sender} ($case->{level}{sender}, $case->{end}{sender}), $case->{opener} ($case->{level}{opener}, $case->{end}{opener}): "
	  . join(', ', map { "$_->[1] $_->[2]" } sort { $a->[0] <=> $b->[0] } map { my $who = $_; map { [ $case->{at}{$who}{$_}, $who, $_ ] } keys %{ $case->{at}{$who} } } qw(sender opener));
}

sub faults
{
	my ($case, $became, $mode) = @_;
	my @faults;
	my @outcomes = outcomes($case, $mode);
	my $is_called = $opener{ $case->{opener} }{closes} && $case->{end}{opener} eq 'commit' && !$case->{failed}{opener};
	my $outcome = "heard $became->{heard}, kept $became->{kept}" . ($is_called ? $case->{told}{opener} eq 't' ? ', true' : ', false' : '');
	push @faults, "$outcome, not " . join(' or ', @outcomes) unless grep { $_ eq $outcome } @outcomes;
	return @faults if $case->{failed}{sender} || ($sender{ $case->{sender} }{told} && $case->{end}{sender} ne 'commit');
	my ($told, $answer) = ($sender{ $case->{sender} }{told} ? $became->{told} : $case->{told}{sender}, answers($case, $mode));
	push @faults, "the sender was told \"$told\", not \"$answer\"" unless $answer =~ /^(?:.* or )?\Q$told\E(?: or .*)?$/;
	return @faults;
}

sub is_as_told
{
	my ($mode, $name, @cases) = @_;
	my $became = became(@cases);
	my @faults = map { my $case = $_; map { text_of($case) . ": $_" } faults($case, $became->{ $case->{key} }, $mode) } @cases;
	is(scalar(@faults), 0, "$name: " . @cases . ' cases');
	diag(join("\n", @faults[ 0 .. (@faults > $MOST_SHOWN ? $MOST_SHOWN : @faults) - 1 ])) if @faults;
	my $failed = grep { %{ $_->{failed} } } @cases;
	note("$name: $failed could not be serialized") if $failed;
}

# ---- at work, through, late ----

srand(1);
my @all = orders(3, 3);
is(scalar(@all), 20, 'orders of the three points of each');
my @cases = cases(\@all, @LEVELS);
for my $i (0 .. $#cases)
{
	play($cases[$i]);
	# it is there again after a moment
	sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type = 'workflow dispatcher'") if $i % 1000 == 500;
}
is_through();
is_as_told('work', 'a dispatcher at work', @cases);

@cases = cases([ orders_of_acts() ], 'READ COMMITTED');
play($_, \&is_through) for @cases;
is_as_told('through', 'one that is through before the next commit', @cases);

sub crash_and_start
{
	crash_at_once($node);
	start_again($node);
	$session{$_} = Session->new($node, 'postgres') for keys %session;
}

@cases = cases([ orders_of_acts() ], 'READ COMMITTED');
kill 'STOP', wait_for_workers($node, 'postgres');
play($_) for @cases;
crash_and_start();
is_through();
is_as_told('late', 'one that looks after a crash', @cases);

# ---- prepared before a crash ----

my @who = ([ 'sender', 'opener' ], [ 'opener', 'sender' ]);
@cases = cases([ map { my $acts = $_; map { [ @$acts, @$_ ] } @who } @who ], 'READ COMMITTED');
for my $case (@cases)
{
	for my $who (@{ $case->{order} }[ 0, 1 ])
	{
		# it would have to wait for what is prepared
		next if is_blocked($case, $who);
		go_on($case, $who, $_) for 'begin', 'act';
		run($who, "PREPARE TRANSACTION '$who $case->{key}'");
	}
}
crash_and_start();
for my $case (@cases)
{
	$case->{prepares} = {};
	for my $who (@{ $case->{order} }[ 2, 3 ])
	{
		$case->{at}{$who}{end} = ++$case->{clock} if $case->{at}{$who}{act};
		run($who, uc($case->{end}{$who}) . " PREPARED '$who $case->{key}'") if $case->{at}{$who}{act};
	}
	next if $case->{at}{opener}{act};
	go_on($case, 'opener', $_) for @POINTS;
}
is_through();
is_as_told('work', 'prepared before a crash', @cases);

$node->stop;
done_testing();
