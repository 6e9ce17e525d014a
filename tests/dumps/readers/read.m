% Print all that Octave reads of a dump, a line for each dataset: its name, and its values in the
% order in which they lie in the file.
function show(prefix, thing)
  for [value, name] = thing
    if isstruct(value)
      show([prefix name "/"], value);
    elseif ischar(value)
      rows = cellstr(value);
      printf("%s%s\t%s\n", prefix, name, strjoin(rows', "\t"));
    elseif isnumeric(value)
      printf("%s%s%s\n", prefix, name, sprintf("\t%.17g", value));
    end
  end
end
show("", load(argv(){1}));
