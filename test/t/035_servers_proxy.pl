#
# Proxies: requests, tunnels and SOCKS by way of the one that a server names; who is calling there, what the proxy refuses, and that the
# environment names none.
#
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use Certificates;
use IO::Socket::INET;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Proxy;
use Scene;
use Test::More;
use Time::HiRes qw(sleep time);
use TokenService;
use WorkflowTest;

$ENV{MALLOC_PERTURB_} = 165;
my $scene = Scene->new('proxy', conf => "log_statement = none\nlog_min_messages = debug5\nlog_min_error_statement = panic\n");
my %names = map { $_ => '127.0.0.1' } 'service.example', 'other.example', 'token.example';
my $proxy = Proxy->start(names => \%names);
my $port = $scene->partner->port;
my $H = Scene::HEADERS;

# Without allow_private: what may be reached is the proxy's matter
sub server
{
	my ($name, $url, $options) = @_;
	$scene->sql("CREATE SERVER $name FOREIGN DATA WRAPPER workflow_http OPTIONS (url '$url', connect_timeout '2 s', timeout '10 s', $options)");
	$scene->define($name, qq({"steps": [{"step": "call", "http": {"server": "$name", "path": "/echo", "headers": {$H}, "body": {"a": 1}}, "save": {"reply": "\${\$reply}"}}]}));
}

sub reply
{
	my ($process, $why, $data) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my ($instance, $status) = $scene->run($process, $data);
	is($status, 'completed', $why) or note(explain($scene->incident($instance)));
	return $scene->data($instance)->{reply};
}

sub failed
{
	my ($process, $code, $message, $why) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my ($instance) = $scene->run($process);
	my $error = ($scene->incident($instance) // {})->{error} // {};
	is($error->{code}, $code, "$why: the code");
	like($error->{message} // '', $message, "$why: the message");
	unlike($error->{message} // '', qr/secret/, "$why: without a secret");
	return;
}

sub map_user
{
	my ($server, $options, $role) = @_;
	$role //= 'CURRENT_USER';
	$scene->sql("DROP USER MAPPING IF EXISTS FOR $role SERVER $server");
	$scene->sql("CREATE USER MAPPING FOR $role SERVER $server OPTIONS ($options)") if $options;
}

sub last_seen { return ($proxy->seen)[-1] }

# ---- requests that are handed on ----

server('plain', "http://service.example:$port", "proxy '" . $proxy->url . "'");
is(reply('plain', 'by way of a proxy')->{body}{headers}{host}, "service.example:$port", 'which knows names that nobody else does');
my $seen = last_seen();
is($seen->{kind}, 'forward', 'it hands the request on');
is($seen->{target}, "http://service.example:$port/echo", 'to a whole URL');
is($seen->{user}, '', 'without asking who is calling');

# ---- SOCKS ----

server('socks', "http://service.example:$port", "proxy '" . $proxy->socks_url . "'");
is(reply('socks', 'by way of SOCKS')->{body}{headers}{host}, "service.example:$port", 'the same');
is(last_seen()->{kind}, 'socks', 'which makes a connection');
is(last_seen()->{target}, "service.example:$port", 'to the name');

# ---- tunnels ----

my ($nginx, $openssl) = map { Certificates::program($_) } 'nginx', 'openssl';
my $dir = PostgreSQL::Test::Utils::tempdir();
my $tls = $nginx && $openssl && `$nginx -V 2>&1` =~ /http_ssl_module/ && `$nginx -V 2>&1` =~ /http_v2_module/ ? PostgreSQL::Test::Cluster::get_free_port() : undef;

sub start_nginx
{
	my $certificates = Certificates->new;
	$dir = $certificates->dir;
	$certificates->authority('ca');
	$certificates->certificate('service', 'ca', 'DNS:service.example');
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
        listen 127.0.0.1:$tls ssl http2;
        ssl_certificate $dir/service.crt;
        ssl_certificate_key $dir/service.key;
        location / { default_type application/json; return 200 '{"connection": "\$connection", "authorization": "\$http_authorization", "proxy": "\$http_proxy_authorization", "protocol": "\$server_protocol"}'; }
    }
}
EOC
	system("$nginx -p $dir -c $dir/nginx.conf >>$dir/nginx.log 2>&1") == 0 or die 'nginx: ' . slurp_file("$dir/nginx.log");
	my $end = time() + 30;
	sleep 0.02 until IO::Socket::INET->new("127.0.0.1:$tls") || time() > $end;
	server('tunnel', "https://service.example:$tls", "ca '$dir/ca.crt', proxy '" . $proxy->url . "'");
}

sub stop_nginx
{
	my ($pid) = -e "$dir/nginx.pid" ? slurp_file("$dir/nginx.pid") =~ /(\d+)/ : ();
	my $status = $?;
	kill 'TERM', $pid if $pid;
	$? = $status;
}
END { stop_nginx() if defined $dir }

if ($tls)
{
	start_nginx();
	map_user('tunnel', "auth 'bearer', token 'secret-of-the-service'");
	my $reply = reply('tunnel', 'https by way of a proxy');
	is($reply->{body}{authorization}, 'Bearer secret-of-the-service', 'the service gets what is its own');
	is($reply->{body}{protocol}, 'HTTP/2.0', 'by HTTP/2');
	is($reply->{headers}{'x-proxy'}, undef, 'what the proxy has said is no part of the answer');
	is(last_seen()->{kind}, 'connect', 'through a tunnel');
	is(last_seen()->{target}, "service.example:$tls", 'to its name');
	unlike(last_seen()->{head}, qr/secret|authorization|idempotency|x-instance/i, 'and the proxy sees nothing of the request');
	reply('tunnel', 'the next request');
	is(scalar(grep { $_->{kind} eq 'connect' } $proxy->seen), 1, 'has the same tunnel');
	map_user('tunnel', '');
}

# ---- who is calling at the proxy ----

my @kinds = ('plain', 'socks', $tls ? 'tunnel' : ());
$proxy->set(user => 'one', password => 'secret-one');
for my $kind (@kinds)
{
	# a connection that is open would serve
	$scene->node->restart if $kind ne 'plain';
	$scene->sql("ALTER SERVER $kind OPTIONS (ADD retry_max '3')");
	failed($kind, 'request', qr/^the proxy wants a proxy_user and proxy_password in the user mapping$/, "$kind without credentials");
	map_user($kind, "proxy_user 'one', proxy_password 'secret-wrong'");
	failed($kind, 'request', qr/^the proxy rejects proxy_user and proxy_password of the user mapping$/, "$kind with wrong ones");
	is($scene->sql("SELECT max(attempt) FROM workflow.visits WHERE process = '$kind'"), 1, "$kind: which is not tried again");
	map_user($kind, "proxy_user 'one', proxy_password 'secret-one', auth 'bearer', token 'secret-of-the-service'");
	my $reply = reply($kind, "$kind with those that are right");
	my $headers = $kind eq 'tunnel' ? $reply->{body} : $reply->{body}{headers};
	is($headers->{authorization}, 'Bearer secret-of-the-service', "$kind: the service gets its own");
	is($headers->{ $kind eq 'tunnel' ? 'proxy' : 'proxy-authorization' } // '', '', "$kind: and not those of the proxy");
	is(last_seen()->{user}, 'one:secret-one', "$kind: which the proxy gets");
}
append_to_file("$dir/password", "secret-one\n");
map_user('plain', "proxy_user 'one', proxy_password_file '$dir/password'");
reply('plain', 'the password from a file');
map_user('plain', "proxy_user 'one', proxy_password_file '$dir/nothing'");
failed('plain', 'auth', qr/file of option "proxy_password_file" cannot be opened/, 'a file that is not there');
map_user('plain', "proxy_user 'one', proxy_password 'secret-one'");
$scene->sql("CREATE SERVER direct FOREIGN DATA WRAPPER workflow_http OPTIONS (url 'http://127.0.0.1:$port', allow_private 'true')");
$scene->define('direct', qq({"steps": [{"step": "call", "http": {"server": "direct", "path": "/echo", "headers": {$H}}, "save": {"reply": "\${\$reply}"}}]}));
map_user('direct', "proxy_user 'one', proxy_password 'secret-one'");
my $n = $proxy->seen;
is(reply('direct', 'a server without a proxy')->{body}{headers}{'proxy-authorization'}, undef, 'has no use for them');
is(scalar($proxy->seen), $n, 'nor for a proxy');

# ---- a connection is of whoever has opened it ----

$scene->sql('CREATE ROLE author LOGIN; GRANT USAGE ON SCHEMA workflow TO author; GRANT EXECUTE ON FUNCTION workflow.define TO author');
for my $kind (grep { $_ ne 'plain' } @kinds)
{
	$scene->sql("GRANT USAGE ON FOREIGN SERVER $kind TO author; SET ROLE author;"
		  . qq(SELECT workflow.define('author: $kind', '{"steps": [{"step": "call", "http": {"server": "$kind", "path": "/echo"}, "save": {"reply": "\${\$reply}"}}]}')));
	reply($kind, "$kind: opened with credentials");
	failed("author: $kind", 'request', qr/^the proxy wants a proxy_user/, "$kind: a connection serves nobody else");
	map_user($kind, "proxy_user 'one', proxy_password 'secret-wrong'", 'author');
	failed("author: $kind", 'request', qr/^the proxy rejects proxy_user/, "$kind: also nobody with others");
}
if ($tls)
{
	my $open = () = grep { $_->{kind} eq 'connect' } $proxy->seen;
	my @many = split /\n/, $scene->sql("SELECT workflow.start('tunnel') FROM generate_series(1, 10)");
	is_soon($scene->node, 'postgres', "SELECT count(*) FROM workflow.instances WHERE instance >= $many[0] AND status = 'completed'", 10, 'many at once');
	is(scalar(grep { $_->{kind} eq 'connect' } $proxy->seen) - $open, 10, 'have a tunnel each');
}

# ---- tokens ----

my $service = TokenService->start;
(my $token_url = $service->url('/token')) =~ s/127\.0\.0\.1/token.example/;
my $mapping = "auth 'oauth2', token_url '$token_url', client_id 'c', client_secret 'secret-of-the-client', proxy_user 'one', proxy_password 'secret-one'";
map_user('plain', $mapping);
failed('plain', 'auth', qr/^no token could be asked for: its service is not within the url of server "plain", by whose proxy/, 'whoever has a mapping does not reach what he likes by way of the proxy');
is(scalar(grep { $_->{target} =~ /token\.example/ } $proxy->seen), 0, 'which was not asked');
map_user('plain', "$mapping, token_allow_private 'true'");
like(reply('plain', 'a token is asked for by way of the proxy, too')->{body}{headers}{authorization}, qr/^Bearer token-1/, 'and used');
is((grep { $_->{target} eq $token_url } $proxy->seen)[0]{user}, 'one:secret-one', 'with the same credentials');
map_user('plain', "proxy_user 'one', proxy_password 'secret-one'");

# ---- redirects ----

$scene->sql("ALTER SERVER plain OPTIONS (ADD follow_redirects 'on')");
$scene->define('redirected', '{"steps": [{"step": "call", "http": {"server": "plain", "path": "/redirect?to=${$.to}"}, "save": {"reply": "${$reply}"}}]}');
is(reply('redirected', 'a redirect', { to => "http://other.example:$port/echo" })->{body}{headers}{host}, "other.example:$port", 'is followed by way of the proxy');
is_deeply([ map { [ $_->{target}, $_->{user} ] } ($proxy->seen)[-1] ], [ [ "http://other.example:$port/echo", 'one:secret-one' ] ], 'which is told who is calling');

# ---- what the proxy refuses, and when it is not there ----

$scene->node->restart; # connections that are open would serve

for (
	[ 403, 'request', qr/^the proxy makes no connection to the service: it answered 403$/ ],
	[ 502, 'connect', qr/^the proxy makes no connection to the service: it answered 502$/ ])
{
	my ($answer, $code, $message) = @$_;
	next unless $tls;
	$proxy->set(user => 'one', password => 'secret-one', answer => $answer);
	failed('tunnel', $code, $message, "a tunnel, $answer");
}
$proxy->set(user => 'one', password => 'secret-one', answer => 503);
failed('plain', '503', qr/^the service answered 503$/, 'a request that is handed on: whose answer it is cannot be told');
for ([ 2, 'request', qr/^the proxy does not allow a connection to the service$/ ], [ 5, 'connect', qr/^the proxy makes no connection to the service: / ])
{
	my ($reply, $code, $message) = @$_;
	$proxy->set(user => 'one', password => 'secret-one', socks => $reply);
	failed('socks', $code, $message, "SOCKS, $reply");
}
$proxy->set(drop => 1);
failed($_, 'connect', qr/./, "$_: a proxy that says nothing") for @kinds;
$proxy->set(hang => 1);
failed('tunnel', 'connect', qr/^no connection within 2\d{3} ms$/, 'a proxy that hangs') if $tls;
failed('socks', 'connect', qr/^no connection within 2\d{3} ms$/, 'the same by SOCKS');
$proxy->stop;
failed($_, 'connect', qr/^the proxy cannot be reached: /, "$_: a proxy that is not there") for @kinds;
is($scene->sql("SELECT max(attempt) FROM workflow.visits WHERE process = 'plain'"), 4, 'which is tried again');
$proxy->set;
$proxy->restart;
$scene->sql("ALTER SERVER plain OPTIONS (SET proxy 'http://no-such-proxy.invalid:3128', SET retry_max '0')");
failed('plain', 'connect', qr/^the proxy cannot be reached: Could not resolve proxy/, 'a proxy that has no address');

# ---- without it ----

$scene->sql("CREATE SERVER inside FOREIGN DATA WRAPPER workflow_http OPTIONS (url 'http://127.0.0.1:$port', proxy '" . $proxy->url . "')");
$scene->define('inside', qq({"steps": [{"step": "call", "http": {"server": "inside", "path": "/echo", "headers": {$H}}, "save": {"reply": "\${\$reply}"}}]}));
is(reply('inside', 'what the proxy reaches is its own matter')->{body}{path}, '/echo', 'also a private address');
$scene->sql('ALTER SERVER inside OPTIONS (DROP proxy)');
failed('inside', 'request', qr/not public/, 'without it the server itself may not');
$scene->sql("ALTER SERVER direct OPTIONS (ADD proxy '" . $proxy->url . "')");
$n = $proxy->seen;
reply('direct', 'a server that gets a proxy');
is(scalar($proxy->seen), $n + 1, 'uses it at once, whatever connections are open');
$scene->sql('ALTER SERVER direct OPTIONS (DROP proxy)');
reply('direct', 'and not once it is gone');
is(scalar($proxy->seen), $n + 1, 'again');
$scene->define('answers 407', '{"steps": [{"step": "call", "http": {"server": "direct", "path": "/status/407"}}]}');
failed('answers 407', '407', qr/^the service answered 407$/, 'without a proxy, 407 is an answer of the service');

# ---- who may say so ----

$scene->sql('CREATE ROLE operator LOGIN; GRANT USAGE ON FOREIGN DATA WRAPPER workflow_http TO operator');
like($scene->error("SET ROLE operator; CREATE SERVER mine FOREIGN DATA WRAPPER workflow_http OPTIONS (url 'https://a.example', proxy 'http://b.example:3128')"), qr/^42501: /, 'a proxy is for superusers');
is($scene->error("SET ROLE operator; CREATE SERVER mine FOREIGN DATA WRAPPER workflow_http OPTIONS (url 'https://a.example')"), '', 'the rest is for others, too');
like($scene->error("SET ROLE operator; ALTER SERVER mine OPTIONS (ADD proxy 'http://b.example:3128')"), qr/^42501: /, 'who cannot add one');
$scene->sql("ALTER SERVER mine OPTIONS (ADD proxy 'http://b.example:3128')");
is($scene->error("SET ROLE operator; ALTER SERVER mine OPTIONS (ADD timeout '5 s')"), '', 'may change what is beside it');
like($scene->error("SET ROLE operator; ALTER SERVER mine OPTIONS ($_)"), qr/^42501: /, "but not: $_") for "ADD follow_redirects 'on'", "SET url 'https://c.example'", "SET proxy 'http://c.example:3128'";

# ---- the environment ----

$scene->sql("ALTER SERVER direct OPTIONS (ADD proxy '" . $proxy->url . "')");
$scene->node->stop;
{
	local %ENV = (%ENV, no_proxy => '*', NO_PROXY => '*', http_proxy => 'http://127.0.0.1:1', ALL_PROXY => 'http://127.0.0.1:1');
	$scene->node->start;
}
$n = $proxy->seen;
reply('direct', 'whatever the environment names');
is(scalar($proxy->seen), $n + 1, 'the proxy is that of the server');

ok(!log_has($scene->node, qr/secret-/), 'no secret is in the log');
is($scene->sql("SELECT count(*) FROM workflow.attempts a WHERE a::text ~ 'secret-(one|wrong)'"), 0, 'nor in the attempts');
$scene->node->stop;
done_testing();
