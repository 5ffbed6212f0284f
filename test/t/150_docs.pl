#
# The examples of README.md and docs/*.md, pasted as they stand: each page in a database of its own, its blocks in their order.
#
# A block "text" after one of SQL is what that gives, at the latest after a while if it only looks, but at once in pages that wait
# themselves. Widths do not matter; serial numbers are others here, but the same ones throughout the page, and times and durations are
# others. What follows a line that begins with ERROR, NOTICE or WARNING are messages; with an ERROR the block has to fail. Blocks of JSON
# that hold a step or a definition are defined, a step alone with the steps that it leads to. One for a shell after the line <!-- run
# --> is run by bash, with PGDATABASE set. A block after the line <!-- not run: REASON --> is left alone, as are other languages; before one
# after the line <!-- partner stops --> or <!-- partner starts --> the outside system does that.
#
# A block "http" after one of sh is what its curl is answered by what stands in for PostgREST at 127.0.0.1:3000: the line of the status, those headers
# that are shown, and the body, as JSON; one that only looks may have to look for a while. $CLERK is a JWT of the role clerk. A block "http" that begins
# with POST is what the outside system has got. Tokens are others here, and end with an ellipsis there.
#
# takes long

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib", "$FindBin::Bin/../partner";

use Frontend;
use JSON::PP ();
use Pages qw(pages blocks);
use Partner;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Shown qw(rows expectation explain_rows same has_messages $SERIAL);
use Test::More;
use Time::HiRes qw(sleep time);
use WorkflowTest;

my $PATIENCE = $ENV{WF_PATIENCE} // 30;

# pages whose blocks wait for what they need, so that no look has to be taken again
my %WAITS = map { $_ => 1 } qw(docs/tutorial.md);

# pages without an example that runs
my %WITHOUT = ();

# pages name files of the checkout as seen from its top
chdir "$FindBin::Bin/../.." or die "no checkout: $!";

my $node = new_server('docs', extension => 0, conf => "log_min_messages = warning\n");

$Shown::superuser = $node->safe_psql('postgres', 'SELECT current_user');


sub run_sql
{
	my ($database, $sql) = @_;
	my ($status, $stdout, $stderr) = $node->psql($database, "\\pset tuples_only off\n\\pset footer off\n$sql", on_error_stop => 1);
	return ($status, $stdout, $stderr);
}

# What a block for a shell does, as whoever pastes it.
sub run_sh
{
	my ($database, $block, $expected, $known, $name) = @_;
	local @ENV{qw(PGHOST PGPORT PGDATABASE)} = ($node->host, $node->port, $database);
	open(my $pipe, '-|', 'bash', '-e', '-c', $block->{text}) or die "no bash: $!";
	my $stdout = do { local $/; <$pipe> } // '';
	ok(close($pipe), "$name runs");
	return unless $expected;
	my $rows = explain_rows(rows($stdout));
	same($rows, $expected->{rows}, $known) ? pass("$name gives what it says") : is($rows, $expected->{rows}, "$name gives what it says");
}

# What only looks may be looked at again until it is as expected.
sub gives
{
	my ($database, $block, $expected, $known, $name, $waits) = @_;
	my $only_looks = !$waits && $block->{text} !~ /workflow\.(?!timeline|request|check\b)\w+\s*\(/ && $block->{text} !~ /^\s*(INSERT|UPDATE|DELETE)\b/mi;
	my $end = time() + ($only_looks ? $PATIENCE : 0);
	my ($status, $stdout, $stderr, $rows, $same);
	while (1)
	{
		($status, $stdout, $stderr) = run_sql($database, $block->{text});
		$rows = explain_rows(rows($stdout));
		$same = same($rows, $expected->{rows}, $known);
		last if $status != 0 || $same || time() > $end;
		sleep 0.1;
	}
	my $fails = grep { /^ERROR/ } @{ $expected->{messages} };
	is($status, $fails ? 3 : 0, $fails ? "$name fails" : "$name runs") or diag($stderr);
	$same ? pass("$name gives what it says") : is($rows, $expected->{rows}, "$name gives what it says");
	ok(has_messages($stderr, $expected->{messages}), "... and tells what it says") or diag($stderr)
	  if @{ $expected->{messages} };
}

# ---- HTTP ----

my $json = JSON::PP->new->utf8->canonical->allow_nonref;

# {first, headers: {name: value}, body}; the body as JSON has it in one line.
sub message
{
	my ($text) = @_;
	my ($head, $body) = $text =~ /^(.*?)\r?\n(?:\r?\n(.*))?\z/s;
	my ($first, @lines) = split /\r?\n/, $head;
	$first =~ s{ HTTP/1\.1$}{};
	my $value = eval { $json->decode($body // '') };
	return { first => $first, headers => { map { /^([^:]+):\s*(.*)$/ ? (lc $1 => $2) : () } @lines }, body => defined $value ? $json->encode($value) : $body // '' };
}

# Put those tokens that were met into what is run, and all that are told into what is compared.
my $TOLD = qr/\b\d+\.[\w-]+\xe2\x80\xa6/; # an ellipsis in UTF-8
sub with_tokens { return $_[0] =~ s/($TOLD)/$_[1]{$1} \/\/ $1/ger }

sub same_message
{
	my ($got, $expected, $known) = @_;
	return 0 if $got->{first} ne $expected->{first};
	my @names = sort keys %{ $expected->{headers} };
	my ($ours, $theirs) = map { my $m = $_; join("\n", (map { $m->{headers}{$_} // '' } @names), $m->{body}) } $got, $expected;
	my @tokens = $ours =~ /\b(\d+\.[\w-]{43})\b/g;
	my @told = $theirs =~ /($TOLD)/g;
	return 0 if @tokens != @told || grep { ($known->{ $told[$_] } //= $tokens[$_]) ne $tokens[$_] } 0 .. $#told;
	$ours =~ s/\b\d+\.[\w-]{43}\b/TOKEN/g;
	$theirs =~ s/$TOLD/TOKEN/g;
	return same($ours, $theirs, $known);
}

sub curl
{
	my ($frontend, $command, $known) = @_;
	my $base = $frontend->base;
	$command = with_tokens($command, $known) =~ s{($SERIAL)}{$known->{$1} // $1}ger =~ s{http://127\.0\.0\.1:3000}{$base}gr;
	local @ENV{ map { uc } qw(clerk) } = map { Frontend::jwt($_) } qw(clerk);
	open(my $pipe, '-|', 'bash', '-e', '-c', "curl() { command curl -sS \"\$@\"; }\n$command") or die "no bash: $!";
	my $answer = do { local $/; <$pipe> };
	return close($pipe) ? $answer : undef;
}

sub answers
{
	my ($frontend, $block, $expected, $known, $name) = @_;
	my $end = time() + ($block->{text} =~ /-X POST| -d / ? 0 : $PATIENCE);
	my ($answer, $same);
	do
	{
		$answer = curl($frontend, $block->{text}, $known);
		$same = defined $answer && same_message(message($answer), message($expected), $known);
	} while (!$same && time() < $end && sleep 0.2);
	$same ? pass("$name is answered as it says") : is($answer, $expected, "$name is answered as it says");
}

# Has the outside system got this?
sub was_got
{
	my ($partner, $text, $known, $name) = @_;
	my $expected = message($text);
	my $end = time() + $PATIENCE;
	my @got;
	do
	{
		@got = map { { first => "$_->{method} $_->{path}", headers => $_->{headers}, body => $json->encode(eval { $json->decode($_->{body}) } // $_->{body}) } } $partner->requests;
		return pass("$name has come") if grep { same_message($_, $expected, $known) } @got;
	} while (time() < $end && sleep 0.2);
	fail("$name has come");
	diag($json->encode(\@got));
}

# Names of steps that routes and handlers lead to.
sub leads_to
{
	my ($value) = @_;
	return map { leads_to($_) } @$value if ref $value eq 'ARRAY';
	return () unless ref $value eq 'HASH';
	return map { /^(next|else)$/ ? names($value->{$_}) : leads_to($value->{$_}) } sort keys %$value;
}

# One name, or a list of them, among which branches may have conditions.
sub names { return map { ref $_ ? leads_to($_) : $_ } ref $_[0] eq 'ARRAY' ? @{ $_[0] } : $_[0] }

# Names of steps, those in sub-processes included.
sub steps_of { return map { ($_->{step}, steps_of(@{ $_->{steps} // [] })) } @_ }

sub define_json
{
	my ($database, $block, $name) = @_;
	my $json = eval { JSON::PP->new->utf8->decode($block->{text}) };
	ok(defined $json, "$name is JSON") or return;
	return unless ref $json eq 'HASH' && ($json->{step} || $json->{steps});
	my $alone = $json->{step};
	my %there = map { $_ => 1 } steps_of($alone ? $json : @{ $json->{steps} });
	my @stubs = map { $there{$_}++ ? () : qq({"step": "$_", "end": true}) } leads_to($json);
	my $definition = $alone ? '{"steps": [' . join(', ', $block->{text}, @stubs) . ']}' : $block->{text};
	$definition =~ s/'/''/g;
	my ($status, undef, $stderr) = $node->psql($database, "SELECT workflow.define('$name', '$definition')", on_error_stop => 1);
	is($status, 0, "$name can be defined") or diag($stderr);
	return;
}

# Returns how many examples were run.
sub run_page
{
	my ($page, $database) = @_;
	my $text = slurp_file($page);
	my @blocks = blocks($text);
	my $partner = Partner->start(psql => $node->connstr($database));
	my $port = $partner->port;
	$_->{text} =~ s/127\.0\.0\.1:8099/127.0.0.1:$port/g for @blocks;
	my %known;
	my $run = 0;
	my $frontend;

	for my $i (0 .. $#blocks)
	{
		my $block = $blocks[$i];
		my $name = "$page:$block->{line}";
		next if defined $block->{not_run};
		$partner->stop if ($block->{partner} // '') eq 'stops';
		$partner->restart if ($block->{partner} // '') eq 'starts';
		$block->{text} =~ s/($SERIAL)/$known{$1} \/\/ $1/ge if $block->{language} eq 'sql';
		if ($block->{language} eq 'json')
		{
			define_json($database, $block, $name);
		}
		elsif ($block->{language} eq 'sql' && $i < $#blocks && $blocks[ $i + 1 ]{language} eq 'text')
		{
			gives($database, $block, expectation($blocks[ $i + 1 ]{text}), \%known, $name, $WAITS{$page});
		}
		elsif ($block->{language} eq 'sql')
		{
			my ($status, undef, $stderr) = run_sql($database, $block->{text});
			is($status, 0, "$name runs") or diag($stderr);
		}
		elsif ($block->{language} eq 'sh' && $i < $#blocks && $blocks[ $i + 1 ]{language} eq 'http')
		{
			$frontend //= Frontend->new->serve($node, $database);
			answers($frontend, $block, $blocks[ $i + 1 ]{text}, \%known, $name);
			$run++;
		}
		elsif ($block->{language} eq 'sh' && $block->{run})
		{
			my $given = $i < $#blocks && $blocks[ $i + 1 ]{language} eq 'text' ? expectation($blocks[ $i + 1 ]{text}) : undef;
			run_sh($database, $block, $given, \%known, $name);
			$run++;
		}
		elsif ($block->{language} eq 'http' && $block->{text} =~ /^POST /)
		{
			was_got($partner, $block->{text}, \%known, $name);
		}
		$run++ if $block->{language} =~ /^(sql|json)$/;
	}
	$frontend->stop if $frontend;
	$partner->stop;
	return $run;
}

my $roles = $node->safe_psql('postgres', q[SELECT string_agg(oid::text, ',') FROM pg_roles]);
my $not_run = 0;
for my $page (grep { !$ENV{WF_PAGE} || /$ENV{WF_PAGE}/ } pages())
{
	my ($database) = $page =~ m{([^/]+)\.md$};
	for my $block (grep { defined $_->{not_run} } blocks(slurp_file($page)))
	{
		isnt($block->{not_run}, '', "$page:$block->{line} says why it is not run");
		# those of several servers are run by test/shards and test/companion
		$not_run++ unless $block->{not_run} =~ /^it (?:needs several databases|needs two servers|is for another server)$/;
	}
	$node->safe_psql('postgres', qq[CREATE DATABASE "$database"]);
	my $run = run_page($page, $database);
	$WITHOUT{$page} ? is($run, 0, "$page has no example, as expected") : cmp_ok($run, '>', 0, "$page has examples");
	note("$page: $run examples");
	# no page is to change what another one sees
	$node->safe_psql('postgres', 'ALTER SYSTEM RESET ALL');
	$node->safe_psql('postgres', 'SELECT pg_reload_conf()');
	$node->safe_psql('postgres', qq[DROP DATABASE "$database" WITH (FORCE)]);
	$node->safe_psql('postgres', "SELECT format('DROP ROLE %I', rolname) FROM pg_roles WHERE oid NOT IN ($roles) \\gexec");
}
is($not_run, 0, 'no example is left alone, but of several servers');

# the page for those who come from elsewhere leaves nothing out
my $from = slurp_file('docs/from-jbpm-and-k2.md');
for (qw(requestUrl requestMethod requestHeaders requestTemplate maxRetries retryDelay cancelUrlJsonPointer cancelUrlTemplate cancelMethod cancelHeaders
	cancelTimeout ignoreCancelSignals successEvalTemplate noCallback taskTimeout heartbeatTimeout socketTimeout connectTimeout connectionRequestTimeout
	system.callbackUrl callbackMethod heartBeatUrl heartBeatMethod initialResponse callbackResponse cancelResponse SUCCESS FAILED CANCELLED TIMED_OUT DIED SYSTEM_ERROR))
{
	like($from, qr/\b\Q$_\E\b/, "$_ is mapped");
}

my $automatiko = slurp_file('docs/from-automatiko.md');
for (qw(X-ATK-Mode X-ATK-Callback X-ATK-Status Active Completed Aborted Failed start set_data tasks complete fail cancel send_signal Location 202 204 403 404 409))
{
	like($automatiko, qr/\b\Q$_\E\b/, "$_ is shown");
}

$node->stop;
done_testing();
