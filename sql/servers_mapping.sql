-- Options of user mappings, as far as the validator judges them
CREATE SERVER sm_pay FOREIGN DATA WRAPPER workflow_http OPTIONS (url 'https://pay.example.com/v1');
\set VERBOSITY terse
\set mapping 'USER MAPPING FOR CURRENT_USER SERVER sm_pay'
CREATE :mapping OPTIONS (auth 'kerberos');
CREATE :mapping OPTIONS (auth 'bearer');
CREATE :mapping OPTIONS (token 'x');
CREATE :mapping OPTIONS (auth 'bearer', token 'x', token_file '/x');
CREATE :mapping OPTIONS (auth 'bearer', token_file 'x');
CREATE :mapping OPTIONS (auth 'bearer', token 'x', password_file '/x');
CREATE :mapping OPTIONS (auth 'query', name '', value 'x');
CREATE :mapping OPTIONS (auth 'query', name 'x');
CREATE :mapping OPTIONS (auth 'sigv4', user 'x', password 'y');
CREATE :mapping OPTIONS (auth 'sigv4', user 'x', password 'y', scope 'eu-central-1');
CREATE :mapping OPTIONS (auth 'none', key '/x');
CREATE :mapping OPTIONS (key_password 'x');
CREATE :mapping OPTIONS (auth 'basic', user 'x', password 'y', scope 'z');
CREATE :mapping OPTIONS (auth 'oauth2', token_url 'https://login.example.com/', client_id 'c');
CREATE :mapping OPTIONS (auth 'oauth2', client_id 'c', client_secret 's');
CREATE :mapping OPTIONS (auth 'oauth2', token_url 'ftp://login.example.com/', client_id 'c', client_secret 's');
CREATE :mapping OPTIONS (auth 'oauth2', token_url 'https://u:secret@login.example.com/', client_id 'c', client_secret 's');
CREATE :mapping OPTIONS (auth 'oauth2', token_url 'https://login.example.com/', client_id 'c', client_secret 's', client_auth 'none');
CREATE :mapping OPTIONS (auth 'oauth2', token_url 'https://login.example.com/', client_id 'c', client_secret 's', token_allow_private 'perhaps');
CREATE :mapping OPTIONS (auth 'oauth2', token_url 'https://login.example.com/', client_id 'c', client_secret 's', token_ca 'x');
CREATE :mapping OPTIONS (auth 'oauth2', token_url 'https://login.example.com/', client_id 'c', refresh_token_file '/x');
CREATE :mapping OPTIONS (auth 'oauth2', token_url 'https://login.example.com/', client_id 'c', client_secret 's', token 'x');
\set VERBOSITY default
CREATE :mapping OPTIONS (auth 'bearer', tokenfile '/x');
CREATE :mapping OPTIONS (auth 'basic', user 'x', password 'y', value 'z');
-- all that is in the way of another auth, at once
CREATE :mapping OPTIONS (auth 'oauth2', token_url 'https://login.example.com/', client_id 'c', client_secret 's');
ALTER :mapping OPTIONS (SET auth 'bearer', ADD token 'x');
ALTER :mapping OPTIONS (DROP token_url, DROP client_id, DROP client_secret, SET auth 'bearer', ADD token 'x');
DROP :mapping;
ALTER SERVER sm_pay OPTIONS (ADD cert '/x');
CREATE ROLE sm_author;
GRANT USAGE ON FOREIGN SERVER sm_pay TO sm_author;
SET ROLE sm_author;
CREATE :mapping OPTIONS (auth 'bearer', token_file '/x');
CREATE :mapping OPTIONS (auth 'oauth2', token_url 'https://login.example.com/', client_id 'c', client_secret 's', token_allow_private 'true');
RESET ROLE;
-- what is right
CREATE :mapping OPTIONS (auth 'query', name 'key with & and =', value E'\n', cert '/x', key '/y', key_password_file '/z');
ALTER :mapping OPTIONS (SET auth 'sigv4', DROP name, DROP value, ADD user 'x', ADD password_file '/x', ADD scope 'aws:amz:a:b', ADD session_token 'x');
ALTER :mapping OPTIONS (SET auth 'none', DROP user, DROP password_file, DROP scope, DROP session_token, DROP key, DROP key_password_file);
ALTER :mapping OPTIONS (SET auth 'oauth2', ADD token_url 'https://login.example.com/', ADD client_id 'c');
ALTER :mapping OPTIONS (DROP cert, ADD refresh_token 'r', ADD token_ca '/x', ADD token_allow_private 'on', ADD scope 'a b', ADD client_auth 'body');
DROP :mapping;
DROP SERVER sm_pay;
DROP ROLE sm_author;
