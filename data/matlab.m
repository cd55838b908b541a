% The loss of one generated sample at logit x, in single precision: by way of the score, and from the logit.
% For MATLAB and GNU Octave. Run in data/: octave-cli matlab.m   (writes matlab.csv, which notebook 06 shows)
x = single([-200 -100 -17 -5 0 5 10 16 17 50 100 200]');
score = 1 ./ (1 + exp(-x));
by_score = -log(1 - score);
from_logit = max(x, 0) + log(1 + exp(-abs(x)));
exact = max(double(x), 0) + log1p(exp(-abs(double(x))));

if exist('OCTAVE_VERSION', 'builtin'), program = 'GNU Octave'; else, program = 'MATLAB'; end
file = fopen('matlab.csv', 'w');
fprintf(file, 'logit,by_score,from_logit,exact,program,version\n');
for k = 1:numel(x)
  fprintf(file, '%g,%.9g,%.9g,%.9g,%s,%s\n', x(k), by_score(k), from_logit(k), exact(k), program, version);
end
fclose(file);
