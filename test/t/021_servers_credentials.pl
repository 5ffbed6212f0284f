#
# Credentials: what a user mapping adds to a request, whose it is, and that no secret is found anywhere else.
#
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use MIME::Base64 qw(encode_base64);
use PostgreSQL::Test::Utils;
use Scene;
use Test::More;
use WorkflowTest;

# what is freed is not to look as if it were still there
$ENV{MALLOC_PERTURB_} = 165;
# statements would be logged with what they hold; what the workers log is to be seen as fully as can be
my $scene = Scene->new('credentials', conf => "log_statement = none\nlog_min_messages = debug1\nlog_min_error_statement = panic\n");
my $H = '"headers": {' . Scene::HEADERS . '}';

sub define_call
{
	my ($name, $path, $more, $headers) = @_;
	$scene->define($name, qq({"steps": [{"step": "call", "http": {"server": "partner", "path": "$path", ) . ($headers // $H)
		  . '}, "save": {"reply": "${$reply.status}"}' . ($more ? ", $more" : '') . '}]}');
}

# The headers of one request
sub headers
{
	my ($process) = @_;
	my ($instance, $status) = $scene->run($process);
	is($status, 'completed', 'it is answered') or note(explain($scene->incident($instance)));
	return ($scene->requests($instance))[0]{headers};
}

sub map_user
{
	my ($options, $role) = @_;
	$role //= 'CURRENT_USER';
	$scene->sql("DROP USER MAPPING IF EXISTS FOR $role SERVER partner; CREATE USER MAPPING FOR $role SERVER partner OPTIONS ($options)");
}

define_call('call', '/ok');

# ---- kinds ----

is(headers('call')->{authorization}, undef, 'without a mapping there are no credentials');
map_user("auth 'none'");
is(headers('call')->{authorization}, undef, 'nor with auth none');
map_user("auth 'basic', user 'aladdin', password 'secret-one:\x{fc}'");
is(headers('call')->{authorization}, 'Basic ' . encode_base64("aladdin:secret-one:\xc3\xbc", ''), 'basic');
map_user("auth 'bearer', token 'secret-two'");
is(headers('call')->{authorization}, 'Bearer secret-two', 'bearer');
map_user("auth 'header', name 'X-Api-Key', value 'secret-three'");
my $headers = headers('call');
is($headers->{'x-api-key'}, 'secret-three', 'a header');
is($headers->{authorization}, undef, 'and nothing else');
$scene->sql("ALTER USER MAPPING FOR CURRENT_USER SERVER partner OPTIONS (SET value 'secret-four')");
is(headers('call')->{'x-api-key'}, 'secret-four', 'a change counts from the next request on');
define_call('own', '/ok', undef, '"headers": {' . Scene::HEADERS . ', "x-api-key": "my own"}');
is(headers('own')->{'x-api-key'}, 'my own', 'a header of the step stands');
$scene->sql('DROP USER MAPPING FOR CURRENT_USER SERVER partner');
is(headers('call')->{'x-api-key'}, undef, 'dropped, it is gone');

for (
	[ "auth 'bearer'", '22023' ], [ "auth 'basic', user 'x'", '22023' ], [ "auth 'header', name 'X'", '22023' ],
	[ "auth 'kerberos'", '22023' ], [ "token 'x', password 'y'", '22023' ], [ "auth 'bearer', tokn 'x'", 'HV00D' ],
	[ "auth 'header', name 'X Y', value 'x'", '22023' ], [ "auth 'bearer', token E'a\\r\\nX-Evil: 1'", '22023' ])
{
	my ($options, $state) = @$_;
	like($scene->error("CREATE USER MAPPING FOR CURRENT_USER SERVER partner OPTIONS ($options)"), qr/^$state: /, "refused: $options");
}
like($scene->error("ALTER SERVER partner OPTIONS (ADD token 'x')"), qr/^HV00D: /, 'a server holds no credentials');

# ---- whose ----

$scene->sql(q[CREATE ROLE author LOGIN; CREATE ROLE starter LOGIN;
	GRANT USAGE ON SCHEMA workflow TO author, starter; GRANT EXECUTE ON FUNCTION workflow.define TO author;
	GRANT USAGE ON FOREIGN SERVER partner TO author]);
map_user("auth 'bearer', token 'secret-of-public'", 'PUBLIC');
map_user("auth 'bearer', token 'secret-of-starter'", 'starter');
my $step = qq("http": {"server": "partner", "path": "/ok", $H});
$scene->sql(qq[SET ROLE author;
	SELECT workflow.define('author''s', '{"steps": [{"step": "call", $step, "wait": true}, {"step": "call again", $step}]}');
	RESET ROLE; SELECT workflow.grant_process('author''s', 'starter', 'start'), workflow.grant_process('author''s', 'starter', 'complete')]);
my $instance = $scene->sql("SET ROLE starter; SELECT workflow.start('author''s')");
my $serial = $scene->wait_for_state($instance, 'waiting')->{serial_number};
$scene->sql("SET ROLE starter; SELECT workflow.complete('$serial')");
is($scene->finish($instance), 'completed', 'started and completed by one who has a mapping of his own');
is_deeply([ map { $_->{headers}{authorization} } $scene->requests($instance) ], [ ('Bearer secret-of-public') x 2 ], 'the owner has none, so it is that of PUBLIC');
map_user("auth 'bearer', token 'secret-of-author'", 'author');
$instance = $scene->sql("SET ROLE starter; SELECT workflow.start('author''s')");
$serial = $scene->wait_for_state($instance, 'waiting')->{serial_number};
$scene->sql("SELECT workflow.complete('$serial')");
$scene->finish($instance);
is_deeply([ map { $_->{headers}{authorization} } $scene->requests($instance) ], [ ('Bearer secret-of-author') x 2 ], 'then it is his own, whoever moves the token');

# ---- a mapping does not lead elsewhere ----

my $elsewhere = Partner->start;
$scene->server('elsewhere', $elsewhere->url);
$scene->sql('GRANT USAGE ON FOREIGN SERVER elsewhere TO author');
$scene->sql(q[SET ROLE author; SELECT workflow.define('leading away', '{"steps": [{"step": "call", "http": {"url": "${$.url}"}}]}')]);
$instance = $scene->start('leading away', { url => $elsewhere->url('/leading-away') });
is($scene->finish($instance), 'completed', 'a request to another server');
is(($elsewhere->requests)[0]{headers}{authorization}, undef, 'has no credentials of this one');
$instance = $scene->start('leading away', { url => $scene->url('/redirect?to=' . $elsewhere->url('/redirected')) });
is($scene->finish($instance), 'failed', 'a redirect is not followed');
is(scalar($elsewhere->requests('/redirected')), 0, 'wherever it leads');

# ---- which server a URL goes through ----

# what there is besides is a stranger's: whom he is, and why he may be trusted after all
$scene->sql(q[CREATE ROLE stranger; CREATE ROLE team; GRANT USAGE ON FOREIGN DATA WRAPPER workflow_http TO stranger]);
$scene->sql("SET ROLE stranger; CREATE SERVER strange FOREIGN DATA WRAPPER workflow_http OPTIONS (url '" . $elsewhere->url('/leading-away') . "');"
	. "GRANT USAGE ON FOREIGN SERVER strange TO PUBLIC; CREATE USER MAPPING FOR PUBLIC SERVER strange OPTIONS (auth 'bearer', token 'the-strangers')");
$scene->sql("ALTER SERVER strange OPTIONS (ADD allow_private 'true')");

sub goes_through
{
	my ($server, $why) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my $instance = $scene->start('leading away', { url => $elsewhere->url('/leading-away/hang') });
	is($scene->sql("SELECT queue FROM workflow_data.visit WHERE instance = $instance"), $server ? "http $server" : '', $why);
	$scene->sql("SELECT workflow.cancel($instance)");
}
goes_through('elsewhere', 'a stranger\'s server that PUBLIC may use is passed over');
$scene->sql('GRANT USAGE ON FOREIGN SERVER strange TO team');
goes_through('elsewhere', 'and one that others may use');
$scene->sql('GRANT team TO author');
goes_through('strange', 'one granted to a role of his covers more of the URL');
$scene->sql("CREATE USER MAPPING FOR author SERVER elsewhere OPTIONS (auth 'bearer', token 'secret-of-author')");
goes_through('elsewhere', 'one with credentials of his own comes first');
$scene->sql('DROP USER MAPPING FOR author SERVER elsewhere; REVOKE team FROM author; ALTER SERVER strange OWNER TO team');
goes_through('elsewhere', 'without the role it is a stranger\'s again');
$scene->sql('GRANT team TO author');
goes_through('strange', 'unless the role owns it');
$scene->sql('REVOKE team FROM author; ALTER SERVER strange OWNER TO CURRENT_USER');
goes_through('strange', 'or a superuser does');
$scene->sql("ALTER SERVER strange OWNER TO stranger; CREATE USER MAPPING FOR author SERVER strange OPTIONS (auth 'none')");
goes_through('strange', 'or he has a mapping for it');
$scene->sql('DROP USER MAPPING FOR author SERVER strange; REVOKE USAGE ON FOREIGN SERVER elsewhere FROM author');
goes_through('', 'nobody else\'s is left: an incident');
my $strange = $elsewhere->url('/leading-away/x');
like($scene->error(qq(SET ROLE author; SELECT workflow.define('strange', '{"steps": [{"step": "call", "http": {"url": "$strange"}}]}'))),
	qr/^22023/, 'which define refuses at once');
$scene->sql('GRANT USAGE ON FOREIGN SERVER elsewhere TO author');

# ---- nowhere else ----

define_call('unauthorized', '/status/401');
define_call('slow', '/hang', undef, '"timeout": "100 ms", ' . $H);
define_call('broken', '/half');
define_call('bad answer', '/badjson');
define_call('retrying', '/status/503', '"retry": {"max": 50, "delay": "1 minute"}');
define_call('waiting', '/ok', '"wait": true');
define_call('bad header', '/ok', undef, '"headers": {' . Scene::HEADERS . ', "X-Bad": "${$.bad}"}');
map_user("auth 'bearer', token 'secret-five'");
$scene->run($_) for 'unauthorized', 'slow', 'broken', 'bad answer';
$scene->run('bad header', { bad => "a\nb" });
my @left = map { $scene->start($_) } 'retrying', 'waiting';
$scene->wait_for_state($left[0], 'retrying');
$scene->wait_for_state($left[1], 'waiting');
map_user("auth 'basic', user 'aladdin', password 'secret-six'");
$scene->run($_) for 'unauthorized', 'slow', 'broken';
$scene->sql("ALTER SERVER partner OPTIONS (SET url 'http://127.0.0.1:1')");
$scene->run('call');
$scene->sql("ALTER SERVER partner OPTIONS (SET url '" . $scene->url . "')");

my @secrets = map { "secret-$_" } qw(one two three four five six of-public of-author of-starter);
push @secrets, map { encode_base64($_, '') } "aladdin:secret-six", "aladdin:secret-one:\xc3\xbc";
my $pattern = join('|', map { quotemeta } @secrets);

ok((grep { ($_->{headers}{authorization} // '') eq 'Bearer secret-five' } $scene->partner->requests), 'the secrets were sent');
my @relations = split /\n/, $scene->sql(q[SELECT c.oid::regclass FROM pg_class c WHERE relnamespace IN ('workflow'::regnamespace, 'workflow_data'::regnamespace) AND relkind IN ('r', 'p', 'v', 'm') ORDER BY 1]);
ok(@relations > 10, 'tables and views of ours: ' . scalar @relations);
my @found = grep { $scene->sql("SELECT t::text FROM $_ t") =~ /$pattern/ } @relations;
is("@found", '', 'no secret is in any of them');
is($scene->sql("SELECT count(*) FROM pg_stat_activity a WHERE a::text ~ '$pattern' AND pid <> pg_backend_pid()"), 0, 'nor in what the server shows of its processes');
is($scene->sql("SET ROLE author; SELECT count(*) FROM pg_user_mappings m WHERE m::text ~ 'secret-(one|two|three|four|five|six|of-starter|of-public)'"), 0, 'others see no mapping but their own');
ok(slurp_file($scene->node->logfile) !~ /$pattern/, 'nor in the log');
my ($status, $stdout, $stderr) = $scene->node->psql('postgres', qq(CREATE USER MAPPING FOR author SERVER elsewhere OPTIONS (auth 'bearer', token E'secret-seven\\n')));
isnt($status, 0, 'a token with a line end');
unlike($stderr, qr/(ERROR|DETAIL|HINT).*secret-seven/, 'is refused without being shown');
for my $bad ("auth 'bearer', tokenn 'secret-eight'", "auth 'secret-eight'", "auth 'basic', user E'secret-eight:', password 'secret-eight'", "auth 'header', name 'a b', value 'secret-eight'")
{
	($status, $stdout, $stderr) = $scene->node->psql('postgres', "CREATE USER MAPPING FOR author SERVER elsewhere OPTIONS ($bad)");
	unlike($stderr, qr/(ERROR|DETAIL|HINT).*secret-eight/, 'an error shows no value of a mapping');
}

# ---- while servers change ----

$scene->sql("CREATE SERVER steady FOREIGN DATA WRAPPER workflow_http OPTIONS (url '" . $scene->url . "', allow_private 'true', max_in_flight '300');"
	  . "CREATE USER MAPPING FOR CURRENT_USER SERVER steady OPTIONS (auth 'bearer', token 'secret-nine')");
# each looks up its owner, so that invalidations come in between
my $N = 400;
for my $name ('left', 'right')
{
	$scene->define($name, '{"steps": [{"step": "call", "http": {"server": "steady", "path": "/ok/steady"}}]}');
}
$scene->sql("ALTER SERVER elsewhere OPTIONS (ADD max_in_flight '1'); CREATE TABLE enough (x int)");
my $changes = $scene->node->background_psql('postgres', on_error_stop => 1);
$changes->query_until(qr/changing/, q[\echo changing
	DO $$ BEGIN FOR i IN 1..1000000 LOOP EXECUTE format('ALTER SERVER elsewhere OPTIONS (SET max_in_flight %L)', 1 + i % 2); COMMIT; EXIT WHEN EXISTS (SELECT FROM enough); END LOOP; END $$;
]);
for (1 .. 20)
{
	$scene->sql("SELECT count(workflow.start(CASE i % 2 WHEN 0 THEN 'left' ELSE 'right' END)) FROM generate_series(1, $N) i");
	is_soon($scene->node, 'postgres', "SELECT count(*) FROM workflow.visits WHERE process IN ('left', 'right') AND state IN ('calling', 'retrying')", 0, 'requests are made while servers change');
}
$scene->sql('INSERT INTO enough VALUES (1)');
$changes->quit;
my %sent;
$sent{ $_->{headers}{authorization} // 'none' }++ for $scene->partner->requests('/ok/steady');
is_deeply(\%sent, { 'Bearer secret-nine' => 20 * $N }, 'and each has its credentials');

# a process's memory may hold them, its title not
my $pid = wait_for_workers($scene->node, 'postgres');
ok(slurp_file("/proc/$pid/cmdline") !~ /$pattern/, 'nor in a title');

$scene->node->stop;
done_testing();
