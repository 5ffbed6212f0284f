-- Options of servers that say where requests may lead, as far as the validator judges them
\set VERBOSITY terse
\set server 'CREATE SERVER se_pay FOREIGN DATA WRAPPER workflow_http OPTIONS (url ''https://pay.example.com/v1'','
:server follow_redirects 'perhaps');
:server follow_redirects '21');
:server follow_redirects '-1');
:server follow_redirects '2.5');
:server follow_redirects '');
:server follow_redirects '05 ');
:server proxy_user 'x');
\set VERBOSITY default
:server follow_redirect 'on');
:server follow_redirects '5 s');
-- a proxy is a scheme, a host and a port; the message does not show what may hold a password
:server proxy 'http://shop:secret@proxy.example:3128');
\set VERBOSITY terse
:server proxy '');
:server proxy 'proxy.example:3128');
:server proxy 'http://proxy.example');
:server proxy 'http://[::1]');
:server proxy 'http://proxy.example:0');
:server proxy 'http://proxy.example:99999');
:server proxy 'http://:3128');
:server proxy 'http://proxy.example:3128/path');
:server proxy 'http://proxy.example:3128?a=b');
:server proxy 'https://proxy.example:3128');
:server proxy 'socks4://proxy.example:1080');
:server proxy 'socks5://proxy.example:1080');
:server proxy E'http://proxy.example:3128\r\nX: y');
-- what is right
:server follow_redirects 'on', proxy 'http://proxy.example:3128');
ALTER SERVER se_pay OPTIONS (SET follow_redirects 'off', SET proxy 'socks5h://proxy.example:1080');
ALTER SERVER se_pay OPTIONS (SET follow_redirects '0', SET proxy 'http://[2001:db8::1]:3128/');
ALTER SERVER se_pay OPTIONS (SET follow_redirects '1', SET proxy 'HTTP://192.0.2.1:3128');
ALTER SERVER se_pay OPTIONS (SET follow_redirects '20');
-- who may set it
\set VERBOSITY default
CREATE ROLE se_operator;
GRANT USAGE ON FOREIGN DATA WRAPPER workflow_http TO se_operator;
SET ROLE se_operator;
CREATE SERVER se_mine FOREIGN DATA WRAPPER workflow_http OPTIONS (url 'https://pay.example.com/v1', proxy 'http://proxy.example:3128');
CREATE SERVER se_mine FOREIGN DATA WRAPPER workflow_http OPTIONS (url 'https://pay.example.com/v1', follow_redirects '3');
ALTER SERVER se_mine OPTIONS (ADD proxy 'http://proxy.example:3128');
RESET ROLE;
ALTER SERVER se_mine OPTIONS (ADD proxy 'http://proxy.example:3128');
SET ROLE se_operator;
ALTER SERVER se_mine OPTIONS (SET follow_redirects '4');
ALTER SERVER se_mine OPTIONS (ADD timeout '5 s');
ALTER SERVER se_mine OPTIONS (SET url 'https://pay.example.com/v2');
ALTER SERVER se_mine OPTIONS (SET proxy 'http://proxy.example:8080');
ALTER SERVER se_mine OPTIONS (DROP proxy);
-- redirects that may lead to private addresses are for superusers; those of a server beside it are no reason
ALTER SERVER se_mine OPTIONS (SET follow_redirects '4');
CREATE SERVER se_inside FOREIGN DATA WRAPPER workflow_http OPTIONS (url 'https://pay.example.com/v1');
RESET ROLE;
ALTER SERVER se_inside OPTIONS (ADD allow_private 'true');
SET ROLE se_operator;
ALTER SERVER se_inside OPTIONS (ADD follow_redirects '4');
ALTER SERVER se_inside OPTIONS (ADD follow_redirects 'off');
ALTER SERVER se_inside OPTIONS (SET follow_redirects 'on');
RESET ROLE;
ALTER SERVER se_inside OPTIONS (SET follow_redirects 'on');
SET ROLE se_operator;
ALTER SERVER se_inside OPTIONS (ADD timeout '5 s');
ALTER SERVER se_inside OPTIONS (SET url 'https://pay.example.com/v2');
ALTER SERVER se_inside OPTIONS (DROP allow_private);
RESET ROLE;
ALTER SERVER se_inside OPTIONS (ADD verify 'off', DROP follow_redirects);
SET ROLE se_operator;
ALTER SERVER se_inside OPTIONS (ADD follow_redirects '1');
RESET ROLE;
-- what has no effect
CREATE SERVER se_idle FOREIGN DATA WRAPPER workflow_http OPTIONS (url 'http://pay.example.com', burst '3', ca '/x', retry_delay '1 s', retry_on '503');
ALTER SERVER se_idle OPTIONS (ADD rate '10', SET url 'https://pay.example.com', ADD retry_max '2');
ALTER SERVER se_idle OPTIONS (SET url 'http://pay.example.com', SET ca '/y', ADD verify 'on');
ALTER SERVER se_idle OPTIONS (SET verify 'off');
ALTER SERVER se_idle OPTIONS (ADD follow_redirects 'on');
CREATE USER MAPPING FOR PUBLIC SERVER se_idle OPTIONS (cert '/x');
ALTER SERVER se_idle OPTIONS (SET url 'https://pay.example.com');
ALTER USER MAPPING FOR PUBLIC SERVER se_idle OPTIONS (SET cert '/y');
ALTER SERVER se_idle OPTIONS (SET url 'http://pay.example.com');
ALTER USER MAPPING FOR PUBLIC SERVER se_idle OPTIONS (SET cert '/z');
ALTER USER MAPPING FOR PUBLIC SERVER se_idle OPTIONS (ADD auth 'oauth2', ADD token_url 'https://login.example.com/', ADD client_id 'c');
ALTER USER MAPPING FOR PUBLIC SERVER se_idle OPTIONS (SET auth 'none', DROP token_url, DROP client_id);
ALTER USER MAPPING FOR PUBLIC SERVER se_idle OPTIONS (DROP cert);
DROP SERVER se_idle CASCADE;
-- who is calling at the proxy
\set mapping 'USER MAPPING FOR CURRENT_USER SERVER se_pay'
\set VERBOSITY terse
CREATE :mapping OPTIONS (proxy_password 'x');
CREATE :mapping OPTIONS (proxy_password_file '/x');
CREATE :mapping OPTIONS (proxy_user '');
CREATE :mapping OPTIONS (proxy_user 'a:b', proxy_password 'x');
CREATE :mapping OPTIONS (proxy_user 'a', proxy_password 'x', proxy_password_file '/x');
CREATE :mapping OPTIONS (proxy_user 'a', proxy_password_file 'x');
CREATE :mapping OPTIONS (proxy_user E'a\n', proxy_password 'x');
CREATE :mapping OPTIONS (proxy_user 'a', proxy_password E'x\n');
\set VERBOSITY default
CREATE :mapping OPTIONS (proxy 'http://proxy.example:3128');
CREATE :mapping OPTIONS (auth 'bearer', token 'x', proxy_user 'a', proxy_password 'x:y');
ALTER :mapping OPTIONS (DROP proxy_password, ADD proxy_password_file '/x');
ALTER :mapping OPTIONS (DROP proxy_password_file);
DROP :mapping;
DROP SERVER se_pay;
DROP SERVER se_mine;
DROP SERVER se_inside;
REVOKE USAGE ON FOREIGN DATA WRAPPER workflow_http FROM se_operator;
DROP ROLE se_operator;
