#
# Redirects: followed where a server says so, with the method that HTTP gives them; what a request has of credentials stays at its origin.
#
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use Certificates;
use IO::Socket::INET;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Scene;
use Test::More;
use Time::HiRes qw(sleep time);
use WorkflowTest;

my $scene = Scene->new('redirects', conf => "log_statement = none\nlog_min_messages = debug1\nlog_min_error_statement = panic\n", options => "follow_redirects 'on', timeout '20 s'");
my $elsewhere = Partner->start;
my $H = Scene::HEADERS;

# A process whose request is `http`, beside the URL that its data name
sub define_call
{
	my ($name, $http, $more) = @_;
	$scene->define($name, qq({"steps": [{"step": "call", "http": {"server": "partner", "url": "\${\$.url}"$http}, "save": {"reply": "\${\$reply}"})
		  . ($more ? ", $more" : '') . '}]}');
}

sub redirect
{
	my ($to, $status, $more) = @_;
	return $scene->url('/redirect?status=' . ($status // 302) . '&to=' . encoded($to) . ($more // ''));
}

# The error of an instance that failed
sub failed
{
	my ($process, $url, $why) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my ($instance, $status) = $scene->run($process, { url => $url });
	is($status, 'failed', $why) or note(explain($scene->data($instance)));
	return ($scene->incident($instance) // {})->{error} // {};
}

sub reply
{
	my ($process, $url, $why) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my ($instance, $status) = $scene->run($process, { url => $url });
	is($status, 'completed', $why) or note(explain($scene->incident($instance)));
	return $scene->data($instance)->{reply};
}

sub map_user
{
	my ($options) = @_;
	$scene->sql('DROP USER MAPPING IF EXISTS FOR CURRENT_USER SERVER partner');
	$scene->sql("CREATE USER MAPPING FOR CURRENT_USER SERVER partner OPTIONS ($options)") if $options;
}

define_call('get', qq(, "headers": {$H}));
define_call('plain', '');

# ---- the same origin ----

my ($instance, $status) = $scene->run('get', { url => redirect('/echo?a=1') });
is($status, 'completed', 'a redirect is followed');
my $reply = $scene->data($instance)->{reply};
is($reply->{status}, 200, 'the answer is that of the place where it leads');
is($reply->{body}{path}, '/echo', 'which a relative URL names');
is($reply->{body}{headers}{'x-instance'}, $instance, 'headers go along');
is($reply->{body}{headers}{'idempotency-key'}, ($scene->requests($instance))[0]{headers}{'idempotency-key'}, 'the key, too');
is(($scene->history($instance, 'call'))->{attempts}, 1, 'it is one attempt');
is($reply->{headers}{location}, undef, 'and its headers');
is(reply('get', redirect($scene->url('/echo?b=2')), 'an absolute URL')->{body}{query}{b}, 2, 'with its query');
is(reply('get', redirect('//127.0.0.1:' . $scene->partner->port . '/echo'), 'one without a scheme')->{body}{path}, '/echo', 'leads to its path');
is(reply('get', redirect('/echo/a b?d=e f'), 'one with what no URL has')->{body}{query}{d}, 'e f', 'is encoded');
is(lc reply('get', redirect("/echo/\xc3\xbc"), 'also beyond ASCII')->{body}{path}, '/echo/%c3%bc', 'as UTF-8');
is(reply('get', redirect('echo?c=3#part'), 'one below')->{body}{query}{c}, 3, 'whose fragment is not sent');

# ---- methods ----

for my $method (qw(GET POST PUT PATCH DELETE))
{
	my $body = $method =~ /^P/ ? ', "body": {"a": "b"}' : '';
	define_call(lc "with $method", qq(, "method": "$method", "headers": {$H}$body));
	for my $redirect (301, 302, 303, 307, 308)
	{
		my $expected = $redirect == 303 || ($method eq 'POST' && $redirect < 303) ? 'GET' : $method;
		my ($instance, $status) = $scene->run(lc "with $method", { url => redirect('/echo', $redirect) });
		is($status, 'completed', "$method, $redirect") or note(explain($scene->incident($instance)));
		my ($first, $second) = $scene->requests($instance);
		is($second->{method}, $expected, "$method becomes $expected by $redirect");
		is($first->{body}, '{"a": "b"}', "$method has its body before $redirect") if $body;
		is($second->{body} // '', $body && $expected eq $method ? '{"a": "b"}' : '', "$method has the body that it should after $redirect");
		is($second->{headers}{'content-type'}, $body && $expected eq $method ? 'application/json' : undef, "$method and its type after $redirect");
		is($second->{headers}{'content-length'} // 0, $body && $expected eq $method ? 10 : 0, "$method and its length after $redirect");
	}
}
define_call('with head', qq(, "method": "HEAD", "headers": {$H}));
($instance) = $scene->run('with head', { url => redirect('/echo', 303) });
is_deeply([ map { $_->{method} } $scene->requests($instance) ], [ 'HEAD', 'HEAD' ], 'HEAD stays HEAD');
($instance, $status) = $scene->run('with post', { url => $scene->url('/echo') });
is($scene->data($instance)->{reply}{body}{method}, 'POST', 'what comes later has its own method');
is_deeply($scene->data($instance)->{reply}{body}{body}, { a => 'b' }, 'and its body');
is(failed('get', $scene->url("/say?status=$_&header=" . encoded('Location:/echo')), "$_ is no redirect that could be followed")->{message}, "the service answered $_", 'and told as ever')
  for 300, 304, 305;
is(failed('get', $scene->url('/say?status=302'), 'nor is one that leads nowhere')->{message}, 'the service answered 302', 'which is told as ever');

# ---- how many ----

sub chain
{
	my ($n) = @_;
	my $url = '/echo';
	$url = '/redirect?to=' . encoded($url) for 1 .. $n;
	return $scene->url($url);
}
is(reply('get', chain(5), 'five redirects are followed')->{body}{path}, '/echo', 'to their end');
my $error = failed('get', chain(6), 'six are not');
is($error->{code}, '302', 'the last answer is the error');
is($error->{message}, 'the service answered 302, a redirect that is not followed: it is one after 5 redirects', 'and says why');
define_call('circle', qq(, "headers": {$H, "X-Partner-Do": "redirect/", "X-Partner-To": "/again"}, "body": {"a": "b"}), '"retry": {"max": 3}');
($instance, $status) = $scene->run('circle', { url => $scene->url('/again') });
is($status, 'failed', 'a circle has an end');
is(scalar($scene->requests($instance)), 6, 'after six requests');
is($scene->incident($instance)->{error}{attempt}, 1, 'and is not tried again');
$scene->sql("ALTER SERVER partner OPTIONS (SET follow_redirects '1')");
is(reply('get', chain(1), 'the option may be a number')->{status}, 200, 'of redirects');
is(failed('get', chain(2), 'that are followed')->{message}, 'the service answered 302, a redirect that is not followed: it is one after 1 redirect', 'and no more');
$scene->sql("ALTER SERVER partner OPTIONS (SET follow_redirects 'off')");
is(failed('get', chain(1), 'or off')->{message}, 'the service answered 302, a redirect that is not followed: option "follow_redirects" of its server is off', 'as it is without the option');
$scene->sql("ALTER SERVER partner OPTIONS (SET follow_redirects 'on')");

# ---- another origin ----

$scene->partner->requests;
my $there = $elsewhere->url('/echo?hidden=in-the-location');
is(reply('plain', redirect($there), 'a request without anything of its own goes to another origin')->{body}{path}, '/echo', 'and is answered there');
is(($elsewhere->requests('/echo'))[0]{headers}{'idempotency-key'} ne '', 1, 'with its key');
define_call('posts', ', "body": {"a": 1}, "headers": {"Accept": "text/plain", "Content-Type": "application/json", "User-Agent": "me"}');
is(reply('posts', redirect($there, 307), 'so does one with a body, and headers that say nothing of who is calling')->{body}{headers}{'user-agent'}, 'me', 'which go along');
my $n = $elsewhere->requests('/');

sub is_bound
{
	my ($process, $why) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my $error = failed($process, redirect($there), "$why: it is not followed");
	is($error->{code}, '302', "$why: the redirect is the answer");
	my $origin = quotemeta $elsewhere->url;
	like($error->{message}, qr/^the service answered 302, a redirect that is not followed: it leads to another origin, $origin, and the request has credentials/, "$why: with a reason");
	unlike($error->{message}, qr/hidden|in-the-location|echo/, "$why: that does not tell the URL");
	is(scalar($elsewhere->requests('/')), $n, "$why: nothing has come there");
}
define_call("with $_", qq(, "headers": {"$_": "of-the-step"})) for 'Authorization', 'Cookie', 'X-Anything';
is_bound("with $_", "a header $_ of the step") for 'Authorization', 'Cookie', 'X-Anything';
for my $auth ("'basic', user 'u', password 'secret-one'", "'bearer', token 'secret-two'", "'header', name 'X-Key', value 'secret-three'",
	"'header', name 'User-Agent', value 'secret-four'", "'query', name 'key', value 'secret-five'", "'sigv4', user 'u', password 'secret-six', scope 'aws:amz:a:b'")
{
	map_user("auth $auth");
	is_bound('plain', $auth =~ s/,.*//r);
}
my $certificates = Certificates::program('openssl') ? Certificates->new : undef;
if ($certificates)
{
	$certificates->authority('ca');
	$certificates->certificate('client', 'ca', 'DNS:client');
	map_user("cert '" . $certificates->dir . "/client.crt', key '" . $certificates->dir . "/client.key'");
	is_bound('plain', 'a client certificate');
}
map_user("auth 'none'");
is(reply('plain', redirect($there), 'a mapping without credentials is none')->{status}, 200, 'and it is followed');
is(reply('plain', redirect('/redirect?to=' . encoded($there)), 'also as the second one')->{status}, 200, 'and answered');
map_user();
my $by_name = 'http://localhost:' . $scene->partner->port . '/echo';
like(failed('get', redirect($by_name), 'another name of the host is another origin')->{message}, qr/another origin, http:\/\/localhost:/, 'which is told');

# ---- what leads to no server ----

for (
	[ 'file:///etc/passwd', qr/no http or https URL/ ], [ 'gopher://127.0.0.1:1/x', qr/no http or https URL/ ], [ 'ftp://127.0.0.1/', qr/no http or https URL/ ],
	[ $scene->url('/echo') =~ s{//}{//user:secret-in-url@}r, qr/holds a user name or password/ ])
{
	my ($to, $message) = @$_;
	my $error = failed('plain', redirect($to), "$to is not followed");
	is($error->{code}, '302', 'it is the answer');
	like($error->{message}, qr/^the service answered 302, a redirect that is not followed: .*$message/, 'with a reason');
	unlike($error->{message}, qr/secret/, 'that does not tell the URL');
}
is(failed('get', redirect('http://127.0.0.1:1/'), 'another origin that is not there')->{code}, '302', 'is not even tried with headers');
$error = failed('plain', redirect('http://127.0.0.1:1/'), 'without any it is');
is($error->{code}, 'connect', 'and nobody is there');
like($error->{message}, qr/^after 1 redirect: /, 'which is told as what came after a redirect');
is(failed('get', redirect('/status/404'), 'an answer that is no success')->{message}, 'the service answered 404', 'is told as ever');
is($scene->sql('SELECT http_status FROM workflow.attempts ORDER BY started_at DESC LIMIT 1'), 404, 'attempts have the status of the last answer');
is(failed('get', redirect('/huge?bytes=300000000&chunked=1'), 'a body that is too large')->{code}, 'reply', 'is one after a redirect, too');

# ---- a parameter of the query ----

map_user("auth 'query', name 'key', value 'secret-in-query'");
is_deeply(reply('get', redirect('/echo?a=1'), 'at the same origin')->{body}{query}, { a => 1, key => 'secret-in-query' }, 'the parameter of the mapping is sent again');
is_deeply(reply('get', redirect('/echo'), 'also as the only one')->{body}{query}, { key => 'secret-in-query' }, 'of the query');
is_deeply(reply('get', redirect('/echo?key=secret-of-theirs'), 'one that the service names')->{body}{query}, { key => 'secret-of-theirs' }, 'stands');
failed('get', redirect($elsewhere->url('/echo?key=secret-in-query')), 'what is not followed');
map_user("auth 'sigv4', user 'u', password 'secret-six', scope 'aws:amz:a:b'");
like(reply('get', redirect('/echo'), 'a signature')->{body}{headers}{authorization}, qr/^AWS4-HMAC-SHA256 /, 'is made again');
map_user("auth 'basic', user 'u', password 'secret-one'");
like(reply('get', redirect('/echo'), 'a header of the mapping')->{body}{headers}{authorization}, qr/^Basic /, 'goes along');
map_user();
ok(!log_has($scene->node, qr/secret-(?:one|two|three|four|five|six|in-query|in-url|of-theirs)/), 'no secret is in the log');
is($scene->sql("SELECT count(*) FROM workflow.attempts a WHERE a::text ~ 'secret-'"), 0, 'nor in the attempts');

# ---- cookies ----

my $set = $scene->url('/say?status=302&header=' . encoded('Location:/cookies|Set-Cookie:a=1; Path=/|Set-Cookie:b=2; Path=/'));
is(reply('get', $set, 'cookies of a redirect')->{body}{cookie}, 'b=2; a=1', 'are sent where it leads');
define_call('own cookie', qq(, "headers": {$H, "Cookie": "own=1"}));
is(reply('own cookie', $set, 'unless the step sends its own')->{body}{cookie}, 'own=1', 'instead of them');
$scene->define('twice', qq({"steps": [{"step": "one", "http": {"server": "partner", "url": "\${\$.url}", "headers": {$H, "Cookie": "own=1"}}},
	{"step": "two", "http": {"server": "partner", "path": "/cookies"}, "save": {"reply": "\${\$reply}"}}]}));
is(reply('twice', $set, 'what they have set')->{body}{cookie}, 'b=2; a=1', 'is there for what comes later');

my $away = $scene->url('/say?status=302&header=' . encoded('Location:' . $elsewhere->url('/cookies') . '|Set-Cookie:a=secret-seven; Path=/'));
$n = $elsewhere->requests('/');
$error = failed('plain', $away, 'a cookie knows of no port');
like($error->{message}, qr/a redirect that is not followed: it leads to another port of the host, http:\/\/127\.0\.0\.1:\d+, and there are cookies for that$/, 'so it is not taken to another server');
unlike($error->{message}, qr/secret/, 'nor told');
$scene->define('cookie before', '{"steps": [{"step": "one", "http": {"server": "partner", "path": "/cookies?set=' . encoded('b=2; Path=/') . '"}},
	{"step": "two", "http": {"server": "partner", "url": "${$.url}"}}]}');
like(failed('cookie before', redirect($there), 'the same goes for one of an earlier step')->{message}, qr/there are cookies/, 'which is told');
is(scalar($elsewhere->requests('/')), $n, 'nothing has come there');
my $gone = $scene->url('/say?status=302&header=' . encoded('Location:' . $elsewhere->url('/cookies') . '|Set-Cookie:a=; Path=/; Max-Age=0'));
is(reply('plain', $gone, 'one that is taken back')->{status}, 200, 'holds nothing up');

# ---- time, places, cancelling ----

define_call('hurried', qq(, "headers": {$H}, "timeout": "1 s"));
my $start = time();
$error = failed('hurried', redirect('/delay?s=0.7', 302, '&after=0.7'), 'a redirect and an answer that take 0.7 s each');
is($error->{code}, 'timeout', 'are too much for a timeout of 1 s');
is_between(time() - $start, 1, 5, 'which is of all together');
like($error->{message}, qr/no whole answer within 1000 ms/, 'and told so');
is(failed('hurried', redirect('/redirect?after=0.7&to=/hang', 302, '&after=0.7'), 'the same of two redirects')->{code}, 'timeout', 'which are not followed any more');
$scene->sql("ALTER SERVER partner OPTIONS (ADD max_in_flight '1')");
$instance = $scene->start('get', { url => redirect('/held') });
$scene->wait_for_requests(2, $instance);
is($scene->server_row('partner', 'in_flight'), 1, 'a request that was redirected has one place');
my $other = $scene->start('get', { url => $scene->url('/echo') });
sleep 0.3;
is(scalar($scene->requests($other)), 0, 'for which others wait');
$scene->let_go($instance);
is($scene->finish($instance), 'completed', 'it is answered');
is($scene->finish($other), 'completed', 'and gives its place back');
$instance = $scene->start('get', { url => redirect('/hang') });
$scene->wait_for_requests(2, $instance);
$scene->sql("SELECT workflow.cancel($instance)");
is_soon($scene->node, 'postgres', "SELECT status FROM workflow.instances WHERE instance = $instance", 'aborted', 'one that was redirected can be cancelled');
is(reply('get', redirect('/echo'), 'and gives its place back')->{status}, 200, 'to the next one');
$scene->sql("ALTER SERVER partner OPTIONS (DROP max_in_flight)");

# many at once, whose handles are used again
my @many = split /\n/, $scene->sql("SELECT workflow.start('get', jsonb_build_object('url', '" . redirect('/echo') . "')) FROM generate_series(1, 200)");
is_soon($scene->node, 'postgres', "SELECT count(*) FROM workflow.instances WHERE instance >= $many[0] AND status = 'completed' AND data->'reply'->'body'->'headers'->>'x-instance' = instance::text",
	200, 'many at once keep their own headers');

# ---- http and https ----

SKIP:
{
	my ($nginx) = Certificates::program('nginx');
	skip 'nginx and openssl are not there', 1 unless $nginx && $certificates && `$nginx -V 2>&1` =~ /http_ssl_module/;
	my $dir = $certificates->dir;
	my ($tls, $other) = map { PostgreSQL::Test::Cluster::get_free_port() } 1 .. 2;
	$certificates->certificate('good', 'ca', 'DNS:localhost,IP:127.0.0.1');
	mkdir "$dir/logs";
	append_to_file("$dir/nginx.conf", <<"EOC");
pid $dir/nginx.pid;
error_log $dir/error.log;
worker_processes 1;
daemon on;
events { worker_connections 64; }
http {
    access_log off;
    client_body_temp_path $dir/body;
    proxy_temp_path $dir/proxy;
    fastcgi_temp_path $dir/fastcgi;
    uwsgi_temp_path $dir/uwsgi;
    scgi_temp_path $dir/scgi;
    server {
        listen 127.0.0.1:$tls ssl;
        listen 127.0.0.1:$other ssl;
        ssl_certificate $dir/good.crt;
        ssl_certificate_key $dir/good.key;
        location /down { return 302 @{[ $scene->url('/echo') ]}; }
        location /beside { return 307 https://127.0.0.1:$other/ok; }
        location / { default_type application/json; return 200 '{"port": \$server_port, "scheme": "\$scheme"}'; }
    }
}
EOC
	system("$nginx -p $dir -c $dir/nginx.conf >>$dir/nginx.log 2>&1") == 0 or die 'nginx: ' . slurp_file("$dir/nginx.log");
	my $end = time() + 30;
	sleep 0.02 until IO::Socket::INET->new("127.0.0.1:$other") || time() > $end;
	$scene->server('secure', "https://127.0.0.1:$tls", "follow_redirects '3', ca '$dir/ca.crt'");
	$scene->define('secure', '{"steps": [{"step": "call", "http": {"server": "secure", "url": "${$.url}"}, "save": {"reply": "${$reply}"}}]}');
	my $error = failed('secure', "https://127.0.0.1:$tls/down", 'from https to http it is not followed');
	is($error->{message}, 'the service answered 302, a redirect that is not followed: it leads from https to http', 'which is told');
	is(reply('secure', "https://127.0.0.1:$tls/beside", 'from https to https it is')->{body}{port}, $other, 'at another port, too');
	$scene->sql("ALTER SERVER partner OPTIONS (ADD ca '$dir/ca.crt')");
	is(reply('plain', redirect("https://127.0.0.1:$tls/ok"), 'from http to https')->{body}{scheme}, 'https', 'by the authority that the server names');
	is(reply('plain', $scene->url('/echo'), 'and http after that')->{body}{path}, '/echo', 'as ever');
	$scene->sql('ALTER SERVER partner OPTIONS (DROP ca)');
	is(failed('plain', redirect("https://127.0.0.1:$tls/ok"), 'without it')->{code}, 'connect', 'nobody there is trusted');
	my ($pid) = slurp_file("$dir/nginx.pid") =~ /(\d+)/;
	kill 'TERM', $pid;
}

$scene->node->stop;
done_testing();
